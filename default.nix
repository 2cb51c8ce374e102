# The commands of iosmux as a package: `callPackage ./default.nix { }`.
{
  lib,
  openssl,
  pkg-config,
  rustPlatform,
  src ? ./.,
}:

rustPlatform.buildRustPackage {
  pname = "iosmux";
  version = (builtins.fromTOML (builtins.readFile ./Cargo.toml)).workspace.package.version;
  inherit src;
  cargoLock.lockFile = ./Cargo.lock;

  # The OpenSSL of nixpkgs instead of the one that cargo would build.
  env.OPENSSL_NO_VENDOR = true;
  nativeBuildInputs = [ pkg-config ];
  buildInputs = [ openssl ];

  # Only what people run; the tests below cover every crate but the test runner, which wants git and rustup's tools.
  cargoBuildFlags = [
    "--package=iosmux"
    "--package=iosmux-bridge"
    "--package=iosmux-fakephone"
    "--package=iosmux-tunneld"
  ];
  cargoTestFlags = [
    "--workspace"
    "--exclude=xtask"
  ];

  meta = {
    description = "An iPhone on a Linux host, in a macOS VM as if the VM owned the cable";
    license = [
      lib.licenses.mit
      lib.licenses.asl20
    ];
    platforms = lib.platforms.linux;
    mainProgram = "iosmux";
  };
}
