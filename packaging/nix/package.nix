# The Makefile's own install, with a Python that has the dependencies: no second list of what goes where.
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
    packages.systemd
  ]);
  code = builtins.readFile ../../dubseedd/__init__.py;
in
stdenvNoCC.mkDerivation {
  pname = "dubseedd";
  version = builtins.head (builtins.match ".*__version__ = \"([^\"]*)\".*" code);
  src = lib.cleanSource ../..;

  dontBuild = true;
  installFlags = [
    "PREFIX=${placeholder "out"}"
    "SYSCONFDIR=${placeholder "out"}/etc"
    "policydir=${placeholder "out"}/share/dbus-1/system.d"
    "VENDOR=no"
    "PYTHON=${python}/bin/python3"
  ];

  meta = {
    description = "Model weights from a USB stick, verified and published";
    license = lib.licenses.asl20;
    platforms = lib.platforms.linux;
    mainProgram = "dubseedctl";
  };
}
