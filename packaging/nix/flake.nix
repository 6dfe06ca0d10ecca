# Used as dubseedd.url = "git+…?dir=packaging/nix": a flake in a folder sees the whole repository it lies in.
{
  description = "Model weights from a USB stick, verified and published";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      each = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in
    {
      packages = each (pkgs: rec {
        dubseedd = pkgs.callPackage ./package.nix { };
        default = dubseedd;
      });
      overlays.default = final: _previous: { dubseedd = final.callPackage ./package.nix { }; };
      nixosModules.default = ./module.nix;
      checks = each (pkgs: {
        plug = pkgs.testers.runNixOSTest (import ./test.nix { module = self.nixosModules.default; });
      });
    };
}
