{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkEnableOption mkIf mkOption types;
  cfg = config.services.dubseedd;
  toml = pkgs.formats.toml { };

  # Made from the daemon's own schema by tools/options.py.
  rows = builtins.fromJSON (builtins.readFile ./options.json);
  tables = lib.groupBy (row: row.table) rows;
  textOf = row: types.strMatching row.pattern // { description = row.allowed; };
  typeOf =
    row:
    {
      flag = types.bool;
      texts = types.nonEmptyListOf types.nonEmptyStr;
      size = types.either types.ints.unsigned (textOf row);
      text = textOf row;
      words = types.enum row.words;
    }
    .${row.kind};
  optionOf =
    row:
    lib.nameValuePair row.key (mkOption {
      type = typeOf row;
      default = row.default;
      description = "Takes ${row.allowed}.";
    });
  tableOf =
    _name: keys:
    mkOption {
      default = { };
      description = "A table of the configuration.";
      type = types.submodule {
        freeformType = toml.type;
        options = builtins.listToAttrs (map optionOf keys);
      };
    };

  unknown = lib.concatLists (
    lib.mapAttrsToList (
      table: keys:
      map (key: "${table}.${key}") (
        lib.subtractLists (map (row: row.key) (tables.${table} or [ ])) (builtins.attrNames keys)
      )
    ) cfg.settings
  );
  label = cfg.settings.seed.label;
  store = cfg.settings.store.path;
  standardStore = "/var/lib/dubnium/models";
  metrics = cfg.settings.metrics.folder;
  # One word of a unit, with nothing to expand in it.
  quoted = text: "\"${builtins.replaceStrings [ "\\" "\"" "%" ] [ "\\\\" "\\\"" "%%" ] text}\"";
in
{
  options.services.dubseedd = {
    enable = mkEnableOption "dubseedd, which installs model bundles from a USB stick";

    package = mkOption {
      type = types.package;
      default = pkgs.dubseedd or (pkgs.callPackage ./package.nix { });
      defaultText = lib.literalExpression "pkgs.dubseedd";
      description = "The package that is used.";
    };

    settings = mkOption {
      type = types.submodule {
        freeformType = toml.type;
        options = lib.mapAttrs tableOf tables;
      };
      default = { };
      description = "/etc/dubnium/dubseedd.toml; every key is typed as the daemon reads it.";
    };

    store = mkOption {
      type = types.strMatching "(/[A-Za-z0-9_.+:@-]+)+";
      default = standardStore;
      description = "The folder of the bundles: settings.store.path, created and made writable to the daemon.";
    };

    label = mkOption {
      type = types.strMatching "[A-Za-z0-9_.+][A-Za-z0-9_.+-]{0,254}";
      default = "DUB-SEED";
      description = "The label of the file systems that are taken: settings.seed.label, and the udev rule for it.";
    };

    allowedSigners = mkOption {
      type = types.listOf types.singleLineStr;
      default = [ ];
      example = [ "ops@example.org namespaces=\"dubnium-seed\" ssh-ed25519 AAAA…" ];
      description = "Lines of /etc/dubnium/seed-signers. With one, a bundle without a valid signature is refused.";
    };

    notifications = mkOption {
      type = types.bool;
      default = false;
      description = "Tell whoever is logged in on the desktop what goes on, by dubseed-notify.service.";
    };
  };

  config = mkIf cfg.enable {
    assertions = [
      {
        assertion = unknown == [ ];
        message =
          "services.dubseedd.settings: ${lib.concatStringsSep ", " unknown} is unknown to dubseedd, which would not "
          + "start; known are ${lib.concatMapStringsSep ", " (row: "${row.table}.${row.key}") rows}.";
      }
      {
        assertion = label == cfg.label;
        message = "services.dubseedd.settings.seed.label is ${label}, services.dubseedd.label ${cfg.label}; set only the latter: the udev rule follows it.";
      }
      {
        assertion = store == cfg.store;
        message = "services.dubseedd.settings.store.path is ${store}, services.dubseedd.store ${cfg.store}; set only the latter: folder and sandbox follow it.";
      }
      {
        assertion = cfg.allowedSigners == [ ] || cfg.settings.trust.allowed_signers == "/etc/dubnium/seed-signers";
        message = "services.dubseedd.allowedSigners writes /etc/dubnium/seed-signers, but settings.trust.allowed_signers names ${cfg.settings.trust.allowed_signers}; set only one of them.";
      }
    ];

    services.dubseedd.settings = {
      seed.label = lib.mkDefault cfg.label;
      store.path = lib.mkDefault cfg.store;
    };

    environment.etc."dubnium/dubseedd.toml".source = toml.generate "dubseedd.toml" cfg.settings;
    environment.etc."dubnium/seed-signers" = mkIf (cfg.allowedSigners != [ ]) {
      text = lib.concatStringsSep "\n" cfg.allowedSigners + "\n";
    };
    environment.systemPackages = [ cfg.package ];

    services.udisks2.enable = true;
    security.polkit.enable = true;
    services.dbus.packages = [ cfg.package ];
    services.udev.packages = [ cfg.package ];
    services.udev.extraRules = mkIf (label != "DUB-SEED") (
      builtins.replaceStrings [ "DUB-SEED" ] [ label ] (builtins.readFile ../../udev/80-dubseedd.rules)
    );

    # Folders above a store of one's own are one's own business.
    systemd.tmpfiles.rules = lib.optional (store == standardStore) "d /var/lib/dubnium 0755 root root -" ++ [
      "d ${store} 0755 root root -"
      "d ${store}/.dubseed 0700 root root -"
    ];

    # The project's own unit with its sandbox; here stands only what differs.
    systemd.packages = [ cfg.package ];
    systemd.services.dubseedd = {
      wantedBy = [ "multi-user.target" ];
      path = [ pkgs.openssh ];
      restartTriggers = [ config.environment.etc."dubnium/dubseedd.toml".source ];
      unitConfig.RequiresMountsFor = mkIf (store != standardStore) store;
      serviceConfig.ReadWritePaths =
        lib.optional (store != standardStore) "-${store}" ++ lib.optional (metrics != "") (quoted "-${metrics}");
    };
    systemd.user.services.dubseed-notify = mkIf cfg.notifications {
      wantedBy = [ "graphical-session.target" ];
    };
  };
}
