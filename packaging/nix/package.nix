# The Makefile's own install, with a Python that has the dependencies: no second list of what goes where, and the same
# isolated programs as everywhere else.
{
  lib,
  stdenvNoCC,
  python3,
}:

let
  python = python3.withPackages (packages: [
    packages.blake3
    packages.cryptography
    packages.dbus-next
    packages.pyudev
    packages.rich
    (packages.systemd-python or packages.systemd) # its name until NixOS 25.05
  ]);
  code = builtins.readFile ../../dubseedd/__init__.py;
in
stdenvNoCC.mkDerivation {
  pname = "dubseedd";
  version = builtins.head (builtins.match ".*__version__ = \"([^\"]*)\".*" code);

  src = lib.fileset.toSource {
    root = ../..;
    fileset = lib.fileset.unions [
      ../../Makefile
      ../../dubseedd
      ../../packaging
      ../../systemd
      ../../tools/install
      ../../udev
    ];
  };

  strictDeps = true;
  dontBuild = true;
  installFlags = [
    "PREFIX=${placeholder "out"}"
    "SYSCONFDIR=${placeholder "out"}/etc"
    "policydir=${placeholder "out"}/share/dbus-1/system.d"
    "VENDOR=no"
    "PYTHON=${python}/bin/python3"
  ];

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    for program in dubseedd dubseedctl dubseed-notify; do
      $out/bin/$program --help >/dev/null
    done
    runHook postInstallCheck
  '';

  meta = {
    description = "Model weights from a USB stick, verified and published";
    license = lib.licenses.asl20;
    platforms = lib.platforms.linux;
    mainProgram = "dubseedctl";
  };
}
