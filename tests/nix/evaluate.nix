# What the NixOS module makes of options that are set, without nixpkgs: of its library here is what the module uses, in
# short. GIVEN are cases of services.dubseedd as JSON; a type is called with a value and tells whether it is of it.
{ module, given }:

let
  merge =
    low: high:
    low
    // builtins.mapAttrs (
      name: value: if builtins.isAttrs value && low ? ${name} then merge low.${name} value else value
    ) high;
  matches = pattern: value: builtins.isString value && builtins.match pattern value != null;

  lib = {
    inherit (builtins) concatLists concatStringsSep groupBy mapAttrs;
    concatMapStringsSep = between: make: list: builtins.concatStringsSep between (map make list);
    literalExpression = text: text;
    mapAttrsToList = make: set: map (name: make name set.${name}) (builtins.attrNames set);
    mkDefault = value: value;
    mkEnableOption = _text: lib.mkOption { type = builtins.isBool; default = false; };
    mkIf = condition: value: if condition then value else null;
    mkOption = option: option;
    nameValuePair = name: value: { inherit name value; };
    optional = condition: value: if condition then [ value ] else [ ];
    subtractLists = less: list: builtins.filter (item: !builtins.elem item less) list;
    types = {
      bool = builtins.isBool;
      either = one: other: value: one value || other value;
      enum = words: value: builtins.elem value words;
      ints.unsigned = value: builtins.isInt value && value >= 0;
      listOf = of: value: builtins.isList value && builtins.all of value;
      nonEmptyListOf = of: value: value != [ ] && lib.types.listOf of value;
      nonEmptyStr = value: builtins.isString value && !matches "[ \t\n]*" value;
      package = _value: true;
      singleLineStr = matches "[^\n]*";
      strMatching = pattern: { __functor = _self: matches pattern; };
      submodule = content: content // { __functor = _self: builtins.isAttrs; };
    };
  };
  pkgs = {
    dubseedd = "dubseedd";
    openssh = "openssh";
    formats.toml = _: {
      type = _value: true;
      generate = _name: value: value;
    };
  };

  judged =
    set:
    let
      declared = made.options.services.dubseedd;
      tables = builtins.mapAttrs (_table: option: option.type.options) declared.settings.type.options;
      cfg = builtins.mapAttrs (_name: option: option.default) declared // set // {
        settings = merge (merge (builtins.mapAttrs (
          _table: builtins.mapAttrs (_key: option: option.default)
        ) tables) made.config.services.dubseedd.settings) (set.settings or { });
      };
      made = import module {
        inherit lib pkgs;
        config = {
          services.dubseedd = cfg;
          inherit (made.config) environment;
        };
      };
      refused =
        options: values:
        builtins.filter (name: options ? ${name} && !options.${name}.type values.${name}) (builtins.attrNames values);
      # Names of options whose type does not take their value: there nixpkgs stops.
      all =
        refused declared set
        ++ builtins.concatLists (
          lib.mapAttrsToList (
            table: values: map (key: "${table}.${key}") (refused (tables.${table} or { }) values)
          ) (set.settings or { })
        );
    in
    if all != [ ] then
      { refused = all; }
    else
      {
        failed = map (item: item.message) (builtins.filter (item: !item.assertion) made.config.assertions);
        config = builtins.removeAttrs made.config [ "assertions" ];
      };
in
map judged (builtins.fromJSON given)
