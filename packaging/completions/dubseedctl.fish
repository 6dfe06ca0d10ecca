# Made by make derived from dubseedd/cli/arguments.py.
function __dubseedctl_bundles
    for folder in /var/lib/dubnium/models/*/
        basename $folder
    end
end
function __dubseedctl_seeds
    readlink -e /dev/disk/by-label/DUB-SEED
end
complete -c dubseedctl -f
complete -c dubseedctl -n __fish_use_subcommand -a status -d 'daemon, seeds, jobs, bundles, and what to do next'
complete -c dubseedctl -n '__fish_seen_subcommand_from status' -l json -d 'for programs: {"schemaVersion": 1, "command": "seed …", …}'
complete -c dubseedctl -n __fish_use_subcommand -a watch -d 'live progress; waits for the first job, ends with the last'
complete -c dubseedctl -n '__fish_seen_subcommand_from watch' -l once -d 'with no job under way, end at once'
complete -c dubseedctl -n '__fish_seen_subcommand_from watch' -l forever -d 'go on until Ctrl-C'
complete -c dubseedctl -n '__fish_seen_subcommand_from watch' -l json -d 'for programs: {"schemaVersion": 1, "command": "seed …", …}'
complete -c dubseedctl -n __fish_use_subcommand -a list -d 'the bundles in the store'
complete -c dubseedctl -n '__fish_seen_subcommand_from list' -l json -d 'for programs: {"schemaVersion": 1, "command": "seed …", …}'
complete -c dubseedctl -n __fish_use_subcommand -a sync -d 'sync bundles from a seed into the store'
complete -c dubseedctl -n '__fish_seen_subcommand_from sync' -l seed -d 'its UUID or device; default: every seed' -r -F -a '(__dubseedctl_seeds)'
complete -c dubseedctl -n '__fish_seen_subcommand_from sync' -l from -d 'without the daemon: a device, mount or folder' -r -F -a '(__dubseedctl_seeds)'
complete -c dubseedctl -n '__fish_seen_subcommand_from sync' -l bundle -d 'one bundle; default: all' -r -a '(__dubseedctl_bundles)'
complete -c dubseedctl -n '__fish_seen_subcommand_from sync' -l dry-run -d 'plan only: nothing is copied or published'
complete -c dubseedctl -n '__fish_seen_subcommand_from sync' -l replace-foreign -d 'replace a folder that dubseedd did not make'
complete -c dubseedctl -n '__fish_seen_subcommand_from sync' -l store -d 'with --from: the store; default: that of the configuration' -r -F
complete -c dubseedctl -n '__fish_seen_subcommand_from sync' -l config -d 'with --from: take this configuration file alone' -r -F
complete -c dubseedctl -n '__fish_seen_subcommand_from sync' -l json -d 'for programs: {"schemaVersion": 1, "command": "seed …", …}'
complete -c dubseedctl -n __fish_use_subcommand -a verify -d 'read installed bundles back from the disk'
complete -c dubseedctl -n '__fish_seen_subcommand_from verify' -a '(__dubseedctl_bundles)'
complete -c dubseedctl -n '__fish_seen_subcommand_from verify' -l offline -d 'without the daemon'
complete -c dubseedctl -n '__fish_seen_subcommand_from verify' -l store -d 'with --offline: the store; default: that of the configuration' -r -F
complete -c dubseedctl -n '__fish_seen_subcommand_from verify' -l config -d 'with --offline: take this configuration file alone' -r -F
complete -c dubseedctl -n '__fish_seen_subcommand_from verify' -l json -d 'for programs: {"schemaVersion": 1, "command": "seed …", …}'
complete -c dubseedctl -n __fish_use_subcommand -a check -d 'judge every bundle of a seed by every rule, and write nothing'
complete -c dubseedctl -n '__fish_seen_subcommand_from check' -F -a '(__dubseedctl_seeds)'
complete -c dubseedctl -n '__fish_seen_subcommand_from check' -l store -d 'the store; default: that of the configuration' -r -F
complete -c dubseedctl -n '__fish_seen_subcommand_from check' -l config -d 'take this configuration file alone' -r -F
complete -c dubseedctl -n '__fish_seen_subcommand_from check' -l json -d 'for programs: {"schemaVersion": 1, "command": "seed …", …}'
complete -c dubseedctl -n __fish_use_subcommand -a format -d 'erase a drive and make it an empty seed'
complete -c dubseedctl -n '__fish_seen_subcommand_from format' -F
complete -c dubseedctl -n '__fish_seen_subcommand_from format' -l type -d 'the file system; default: exfat where it can be made' -r -a 'exfat ext4'
complete -c dubseedctl -n '__fish_seen_subcommand_from format' -l expected -d 'do not ask: the drive has to be this model' -r
complete -c dubseedctl -n '__fish_seen_subcommand_from format' -l any -d 'take a drive that is not removable as well'
complete -c dubseedctl -n '__fish_seen_subcommand_from format' -l config -d 'take this configuration file alone' -r -F
complete -c dubseedctl -n '__fish_seen_subcommand_from format' -l json -d 'for programs: {"schemaVersion": 1, "command": "seed …", …}'
complete -c dubseedctl -n __fish_use_subcommand -a rollback -d 'swap a bundle with its previous version'
complete -c dubseedctl -n '__fish_seen_subcommand_from rollback' -a '(__dubseedctl_bundles)'
complete -c dubseedctl -n '__fish_seen_subcommand_from rollback' -l json -d 'for programs: {"schemaVersion": 1, "command": "seed …", …}'
complete -c dubseedctl -n __fish_use_subcommand -a remove -d 'delete a bundle and its previous version'
complete -c dubseedctl -n '__fish_seen_subcommand_from remove' -a '(__dubseedctl_bundles)'
complete -c dubseedctl -n '__fish_seen_subcommand_from remove' -l yes -d 'do not ask; without a terminal nobody is asked'
complete -c dubseedctl -n '__fish_seen_subcommand_from remove' -l json -d 'for programs: {"schemaVersion": 1, "command": "seed …", …}'
complete -c dubseedctl -n __fish_use_subcommand -a create -d 'make a bundle on a seed, or bring it up to date'
complete -c dubseedctl -n '__fish_seen_subcommand_from create' -F
complete -c dubseedctl -n '__fish_seen_subcommand_from create' -l to -d 'a stick'\''s device or mount point, or any folder' -r -F -a '(__dubseedctl_seeds)'
complete -c dubseedctl -n '__fish_seen_subcommand_from create' -l name -d 'the bundle'\''s name; default: the model'\''s own' -r
complete -c dubseedctl -n '__fish_seen_subcommand_from create' -l revision -d 'of a cache: branch, tag or commit; default: main' -r
complete -c dubseedctl -n '__fish_seen_subcommand_from create' -l include -d 'take files that match this shell pattern as well; may be repeated, * matches / too' -r
complete -c dubseedctl -n '__fish_seen_subcommand_from create' -l exclude -d 'leave out files that match this shell pattern; may be repeated' -r
complete -c dubseedctl -n '__fish_seen_subcommand_from create' -l everything -d 'leave out nothing but what --exclude names'
complete -c dubseedctl -n '__fish_seen_subcommand_from create' -l sign -d 'a private key of OpenSSH, or the .pub of one that ssh-agent has' -r -F
complete -c dubseedctl -n '__fish_seen_subcommand_from create' -l config -d 'take this configuration file alone' -r -F
complete -c dubseedctl -n '__fish_seen_subcommand_from create' -l json -d 'for programs: {"schemaVersion": 1, "command": "seed …", …}'
complete -c dubseedctl -n __fish_use_subcommand -a cancel -d 'cancel a job; what was verified is kept'
complete -c dubseedctl -n __fish_use_subcommand -a eject -d 'end the jobs of a seed and unmount it'
complete -c dubseedctl -n '__fish_seen_subcommand_from eject' -F -a '(__dubseedctl_seeds)'
complete -c dubseedctl -n '__fish_seen_subcommand_from eject' -l power-off -d 'power its drive down as well'
complete -c dubseedctl -n __fish_use_subcommand -a guard -d 'tell a script whether a bundle is installed, whole and verified'
complete -c dubseedctl -n '__fish_seen_subcommand_from guard' -a '(__dubseedctl_bundles)'
complete -c dubseedctl -n '__fish_seen_subcommand_from guard' -l store -d 'without the daemon: the store; default: that of the configuration' -r -F
complete -c dubseedctl -n '__fish_seen_subcommand_from guard' -l config -d 'without the daemon: take this configuration file alone' -r -F
complete -c dubseedctl -n '__fish_seen_subcommand_from guard' -l json -d 'for programs: {"schemaVersion": 1, "command": "seed …", …}'
complete -c dubseedctl -n __fish_use_subcommand -a history -d 'what has happened, the newest last; in JSON first'
complete -c dubseedctl -n '__fish_seen_subcommand_from history' -l number -d 'how many events; default: 20' -r
complete -c dubseedctl -n '__fish_seen_subcommand_from history' -l bundle -d 'those of one bundle' -r -a '(__dubseedctl_bundles)'
complete -c dubseedctl -n '__fish_seen_subcommand_from history' -l json -d 'for programs: {"schemaVersion": 1, "command": "seed …", …}'
