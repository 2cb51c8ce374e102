{
  description = "An iPhone on a Linux host, in a macOS VM as if the VM owned the cable";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
  };

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      each = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ];
      pkgs = each (system: nixpkgs.legacyPackages.${system});
    in
    {
      packages = each (system: {
        default = pkgs.${system}.callPackage ./default.nix { src = self; };
      });

      # `nix run` is the demo.
      apps = each (system: {
        default = {
          type = "app";
          program = toString (
            pkgs.${system}.writeShellScript "iosmux-demo" ''
              exec ${lib.getExe self.packages.${system}.default} demo "$@"
            ''
          );
          meta.description = "Find and read a simulated iPhone in a lab of network namespaces";
        };
      });

      # What a build sandbox can hold; `cargo xtask test` holds the rest (docs/testing.md).
      checks = each (system: {
        package = self.packages.${system}.default;
      });

      devShells = each (system: {
        default = pkgs.${system}.mkShell {
          inputsFrom = [ self.packages.${system}.default ];
          packages = with pkgs.${system}; [
            cargo
            cargo-deny
            clippy
            git
            iproute2
            rust-analyzer
            rustc
            rustfmt
            util-linux
          ];
        };
      });

      formatter = each (system: pkgs.${system}.nixfmt);
    };
}
