// How the words of our dialect are coloured.  The words come from the engine's own grammar (make console writes them).

import { LanguageSupport, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { SQLDialect } from "@codemirror/lang-sql";
import { tags } from "@lezer/highlight";
import words from "../words.json";

const dialect = SQLDialect.define({
  keywords: words.keywords.join(" ").toLowerCase(),
  types: words.types.join(" ").toLowerCase(),
  builtin: "",
  identifierQuotes: "`",
  doubleQuotedStrings: false,
  backslashEscapes: false,
  hashComments: false,
  slashComments: false,
  operatorChars: "*+-%<>!=&|/~",
});

const style = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--code-keyword)", fontWeight: "600" },
  { tag: [tags.typeName, tags.standard(tags.name)], color: "var(--code-type)" },
  { tag: tags.string, color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--code-number)" },
  { tag: [tags.lineComment, tags.blockComment], color: "var(--muted)", fontStyle: "italic" },
  { tag: tags.special(tags.string), color: "var(--code-name)" },
]);

// (the package's own completion is left out: names and words are suggested by the engine)
export const penstock = () => [new LanguageSupport(dialect.language), syntaxHighlighting(style)];
