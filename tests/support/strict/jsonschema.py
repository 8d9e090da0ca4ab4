"""The subset of JSON Schema that structured output and strict tools take."""

from .schema import Refused, below

# What neither vendor's constrained decoding takes at all would be too long a list; these differ.
ANTHROPIC_UNSUPPORTED = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
                                   "maxLength", "maxItems", "uniqueItems"})  # fmt: skip
CHILDREN = ("properties", "$defs", "definitions")


def closed(schema, at, all_required, unsupported=frozenset()):
    """Every object forbids other members and, for OpenAI, requires each of its own."""
    if isinstance(schema, list):
        for i, s in enumerate(schema):
            closed(s, below(at, i), all_required, unsupported)
        return
    if not isinstance(schema, dict):
        return
    if bad := unsupported & schema.keys():
        raise Refused(at, f"property {sorted(bad)[0]!r} is not supported", "invalid_json_schema")
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            raise Refused(
                at, "'additionalProperties' is required to be supplied and to be false", "invalid_json_schema"
            )
        missing = schema.get("properties", {}).keys() - set(schema.get("required", ()))
        if all_required and missing:
            raise Refused(
                at, f"'required' must include every property; missing {sorted(missing)}", "invalid_json_schema"
            )
    for key in CHILDREN:
        for name, s in (schema.get(key) or {}).items():
            closed(s, below(below(at, key), name), all_required, unsupported)
    for key in ("items", "anyOf", "oneOf", "allOf"):
        closed(schema.get(key), below(at, key), all_required, unsupported)


def parameters(schema, at):
    """Of a function: an object schema."""
    if schema.get("type") != "object":
        raise Refused(at, f'schema must be of type "object", got {schema.get("type")!r}', "invalid_function_parameters")
