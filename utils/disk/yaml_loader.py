"""The loader of YAML files: nothing is executed, and no file takes more time or memory than its size says."""

from __future__ import annotations

from typing import Any

import yaml

MOST_ALIASES = 50
MOST_VALUES = 200_000
MOST_DIGITS = 500  # of a number


class BoundedLoader(yaml.SafeLoader):
    """The safe loader, which also refuses a key that stands twice, and files that unfold to more than they hold."""

    aliases = values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Count values, of which a second reads some tens of thousands, and aliases: nested ones multiply."""
        self.values += 1
        if self.values > MOST_VALUES:
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, f"more than {MOST_VALUES:,} values", mark)
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > MOST_ALIASES:
                mark = self.peek_event().start_mark
                raise yaml.composer.ComposerError(None, None, f"more than {MOST_ALIASES} aliases (*name)", mark)
        return super().compose_node(parent, index)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """A value; no endless number: YAML 1.1 reads 1:59:59 in base 60, in a time that grows with the square of its length."""
        if node.tag.endswith((":int", ":float")) and len(node.value) > MOST_DIGITS:
            raise ValueError(f"a number of {len(node.value):,} letters")
        return super().construct_scalar(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys are all different."""
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            word = (key.tag, str(key.value))
            if word in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' stands twice", key.start_mark
                )
            seen.add(word)
        return super().construct_mapping(node, deep)


def place_of(problem: yaml.YAMLError) -> str:
    """':LINE: what is wrong.' of a YAML error."""
    mark = getattr(problem, "problem_mark", None)
    reason = getattr(problem, "problem", None) or str(problem).splitlines()[0]
    return f":{mark.line + 1}: not valid YAML: {reason}." if mark else f": not valid YAML: {reason}."
