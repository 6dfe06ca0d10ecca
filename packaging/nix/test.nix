# A machine with three lines of configuration, a stick plugged in, a bundle published. Run: nix build …#checks.…plug
{ module }:
{ pkgs, ... }:
let
  stick = pkgs.runCommand "stick.img" { nativeBuildInputs = [ pkgs.e2fsprogs ]; } ''
    mkdir -p seed/models/tiny
    echo '{}' >seed/models/tiny/config.json
    (cd seed/models/tiny && sha256sum ./config.json >SHA256SUMS)
    truncate -s 64M $out
    mkfs.ext4 -q -L DUB-SEED -d seed $out
  '';
in
{
  name = "dubseedd";

  nodes.machine = {
    imports = [ module ];
    services.dubseedd.enable = true;
    virtualisation.qemu.options = [ "-device qemu-xhci,id=xhci" ];
  };

  testScript = ''
    machine.wait_for_unit("dubseedd.service")

    machine.send_monitor_command("drive_add 0 id=stick,if=none,format=raw,readonly=on,file=${stick}")
    machine.send_monitor_command("device_add usb-storage,bus=xhci.0,drive=stick,id=usb,removable=on")
    machine.wait_until_succeeds("dubseedctl guard tiny")
    machine.succeed("cd /var/lib/dubnium/models/tiny && sha256sum --check --strict SHA256SUMS")
    machine.succeed("dubseedctl status")
    machine.wait_until_succeeds("journalctl -u dubseedd | grep -q 'may be pulled out'")
    machine.send_monitor_command("device_del usb")
  '';
}
