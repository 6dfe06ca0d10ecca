# Made by make derived from dubseedd/cli/arguments.py.
_dubseedctl_bundles() {  # of plain names alone: compgen expands what it is given
    local folder
    for folder in /var/lib/dubnium/models/*/; do
        folder=${folder%/} folder=${folder##*/}
        case "$folder" in *[!A-Za-z0-9._+-]*) ;; *) echo "$folder" ;; esac
    done
}
_dubseedctl_seeds() {
    readlink -e /dev/disk/by-label/DUB-SEED
}
_dubseedctl() {
    local current=${COMP_WORDS[COMP_CWORD]} words= kind=
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="status watch list sync verify check format rollback remove create cancel eject guard history --help --version"
    else
        case "${COMP_WORDS[1]} ${COMP_WORDS[COMP_CWORD-1]}" in
        "sync --seed") kind=seeds ;;
        "sync --from") kind=seeds ;;
        "sync --bundle") kind=bundles ;;
        "sync --store") kind=files ;;
        "sync --config") kind=files ;;
        "verify --store") kind=files ;;
        "verify --config") kind=files ;;
        "check --store") kind=files ;;
        "check --config") kind=files ;;
        "format --type") kind=none words="exfat ext4" ;;
        "format --expected") kind=none ;;
        "format --config") kind=files ;;
        "create --to") kind=seeds ;;
        "create --name") kind=none ;;
        "create --revision") kind=none ;;
        "create --include") kind=none ;;
        "create --exclude") kind=none ;;
        "create --sign") kind=files ;;
        "create --config") kind=files ;;
        "guard --store") kind=files ;;
        "guard --config") kind=files ;;
        "history --number") kind=none ;;
        "history --bundle") kind=bundles ;;
        *) case "${COMP_WORDS[1]}" in
            status) words="--json --help" ;;
            watch) words="--once --forever --json --help" ;;
            list) words="--json --help" ;;
            sync) words="--seed --from --bundle --dry-run --replace-foreign --store --config --json --help" ;;
            verify) words="--offline --store --config --json --help" kind=bundles ;;
            check) words="--store --config --json --help" kind=seeds ;;
            format) words="--type --expected --any --config --json --help" kind=files ;;
            rollback) words="--json --help" kind=bundles ;;
            remove) words="--yes --json --help" kind=bundles ;;
            create) words="--to --name --revision --include --exclude --everything --sign --config --json --help" kind=files ;;
            cancel) words="--help" ;;
            eject) words="--power-off --help" kind=seeds ;;
            guard) words="--store --config --json --help" kind=bundles ;;
            history) words="--number --bundle --json --help" ;;
            esac ;;
        esac
    fi
    case "$kind" in
    bundles) words="$words $(_dubseedctl_bundles)" ;;
    seeds) words="$words $(_dubseedctl_seeds)"; compopt -o default 2>/dev/null ;;
    files) compopt -o default 2>/dev/null ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _dubseedctl dubseedctl
