# A machine with three lines of configuration, a stick plugged in, a bundle published. Run: nix build …#checks.…plug
{ module }:
{
  name = "dubseedd";

  nodes.machine =
    { pkgs, ... }:
    {
      imports = [ module ];
      services.dubseedd.enable = true;
      environment.systemPackages = [ pkgs.e2fsprogs ];
      virtualisation.qemu.options = [ "-device qemu-xhci,id=xhci" ];
    };

  testScript = ''
    import subprocess

    machine.start()
    machine.wait_for_unit("dubseedd.service")

    seed = machine.state_dir / "seed"
    bundle = seed / "models/tiny"
    bundle.mkdir(parents=True)
    (bundle / "config.json").write_text("{}")
    subprocess.run("sha256sum ./config.json > SHA256SUMS", shell=True, cwd=bundle, check=True)
    stick = machine.state_dir / "stick.img"
    subprocess.run(["truncate", "-s", "64M", stick], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-L", "DUB-SEED", "-d", seed, stick], check=True)

    machine.send_monitor_command(f"drive_add 0 id=stick,if=none,format=raw,file={stick}")
    machine.send_monitor_command("device_add usb-storage,bus=xhci.0,drive=stick,id=usb,removable=on")
    machine.wait_until_succeeds("test -e /var/lib/dubnium/models/tiny/SHA256SUMS")
    machine.succeed("cd /var/lib/dubnium/models/tiny && sha256sum --check --strict SHA256SUMS")
    machine.succeed("dubseedctl status")
    machine.wait_until_succeeds("journalctl -u dubseedd | grep -q 'may be pulled out'")
    machine.send_monitor_command("device_del usb")
  '';
}
