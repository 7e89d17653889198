package ptb

// rule says what one kind of token looks like. At each place the rule whose
// match reaches farthest wins, what must follow included; of equals the first.
type rule struct {
	name  string
	expr  string // what the token looks like, as a regular expression
	ahead string // what must follow it

	// keep tells how many bytes of a match, of expr and ahead together, are
	// the token. Without it all are, or all but the last rune if there is an
	// ahead.
	keep func(match string) int
	// spell gives the token's text. Without it the token stands as it was.
	spell func(token string) string
}

// Characters, as regular expressions.
const (
	blanks     = ` \t\x{A0}\x{2000}-\x{200A}\x{3000}`
	blank      = `[` + blanks + `]`
	gap        = `[\n` + blanks + `]`
	javaLetter = `[` + letterRanges + `]`
	digit      = `[` + digitRanges + `]`
	alnum      = `[` + letterRanges + digitRanges + `]`
	stop       = `[,;:\x{3001}]`
	apostrophe = `(?:['\x{92}\x{2019}]|&[aA][pP][oO][sS];)`
	anyQuote   = `(?:['\x60\x{91}\x{92}\x{2018}\x{2019}\x{201B}]|&[aA][pP][oO][sS];)`
	ampersand  = `(?:&|&[aA][mM][pP];)`
	quotMark   = `"|&[qQ][uU][oO][tT];`
	accented   = `&[aeiouAEIOU](?:[aA][cC][uU][tT][eE]|[gG][rR][aA][vV][eE]|[uU][mM][lL]);`
	letter     = `(?:[\x{AD}` + letterRanges + markRanges + `]|` + accented + `)`
	wordChar   = `(?:[\x{AD}` + letterRanges + markRanges + digitRanges + `]|` + accented + `)`
)

// Words. A dot, exclamation or question mark with a letter on both sides does
// not end one.
const (
	word      = letter + wordChar + `*(?:[.!?]` + letter + wordChar + `*)*`
	auxiliary = apostrophe + `(?:[msdMSD]|[rR][eE]|[vV][eE]|[lL][lL])`
	negation  = `[nN]` + anyQuote + `[tT]`
	// A word that "n't" can follow: ASCII, not ending in n.
	negatable = `[A-Za-z\x{AD}]*[A-MO-Za-mo-z]\x{AD}*`
	// Letters and digits mixed, joined by hyphens or low lines; d', l' and o'
	// may lead a part.
	part     = `(?:[dDlLoO]` + anyQuote + alnum + `)?` + alnum + `+`
	compound = part + `(?:[-_\x{58A}\x{2010}\x{2011}]` + part + `)*`
	slashed  = `[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2}`
	capitals = `[A-Z]+(?:(?:\+|` + ampersand + `)[A-Z]+)+`
)

var (
	initials   = `(?:[A-Za-z](?:\.[A-Za-z])*|` + countryPairs + `)`
	hyphenated = `[A-Za-z0-9][A-Za-z0-9.,\x{AD}]*(?:-(?:[A-Za-z0-9\x{AD}]+|(?:[A-Za-z](?:\.[A-Za-z])+|` + countryPairs + `)\.))+`
)

// Numbers.
const (
	number   = `[-+]?(?:` + digit + `+|` + digit + `*(?:[.:,\x{AD}\x{66B}\x{66C}]` + digit + `+)+)`
	date     = digit + `{1,2}[-/]` + digit + `{1,2}[-/]` + digit + `{2,4}`
	fraction = `(?:` + digit + `{1,4}[- \x{A0}])?` + digit + `{1,4}(?:\\?/|\x{2044})` + digit + `{1,4}`
	raised   = `[\x{207A}\x{207B}\x{208A}\x{208B}]?(?:[\x{2070}\x{B9}\x{B2}\x{B3}\x{2074}-\x{2079}]+|[\x{2080}-\x{2089}]+)`
	phone    = `(?:\([0-9]{2,3}\)[ \x{A0}]?|(?:\+\+?)?(?:[0-9]{2,4}[- \x{A0}])?[0-9]{2,4}[- \x{A0}])[0-9]{3,4}[- \x{A0}]?[0-9]{3,5}` +
		`|(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}`
)

// Addresses and mark-up. The odd range ,-_ in a host name is the reference's:
// it keeps digits, capitals and hyphens out of names without www.
const (
	urlEnd  = `[^ \t\n"<>|.!?(){},-]`
	mailbox = `[^ \t\n"<>|(){}.\x{A0}]`
	mail    = `(?:<|&[lL][tT];)?[a-zA-Z0-9][^ \t\n"<>|(){}\x{A0}]*@(?:` + mailbox + `+\.)*` + mailbox + `+(?:>|&[gG][tT];)?`
	handle  = `@[a-zA-Z_][a-zA-Z_0-9]*|#` + letter + `+`
	name    = `[A-Za-z][A-Za-z0-9_:.-]*`
	tag     = `<(?:[!?][A-Za-z-][^>\n]*|/` + name + `|` + name + `(?: +` + name + `(?: *= *(?:'[^'\n]*'|"[^"\n]*"))?)* */?) *>`
)

var (
	url  = blind(`https?://`) + `[^ \t\n"<>|(){}]+` + urlEnd
	site = `(?:` + blind(`www`) + `\.(?:[^ \t\n"<>|.!?(){},]+\.)+[a-zA-Z]{2,4}|(?:[^ \t\n"\x60'<>|.!?(){},-_$]+\.)+` +
		blind(`(?:com|net|org|edu)`) + `)(?:/[^ \t\n"<>|()]+` + urlEnd + `)?`
	file = wordChar + `+(?:\.` + wordChar + `+)*\.(?:` + fileEndings + `)`
)

// Faces.
const (
	smiley  = `[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]]`
	kaomoji = `[\^x=~<>]\.\[\^x=~<>\]|[-\^x=~<>']_[-\^x=~<>']|\([-\^x=~<>'][_.]?[-\^x=~<>']\)|\([\^x=~<>']-[\^x=~<>'\x60]\)`
)

// rules stand in their order of precedence. Where the reference prints a
// sentence's full stop a second time, after an abbreviation's own, they don't:
// it would be removed with the punctuation.
var rules = []rule{
	// Words, whole and taken apart.
	{name: "cannot", expr: blind(`cannot`), keep: allBut(3)},
	{name: "gonna", expr: blind(`gonna|gotta|lemme|gimme|wanna`), keep: allBut(2)},
	{name: "tag", expr: tag, spell: hardSpaces},
	{name: "dash", expr: `&(?:` + blind(`md|mdash|ndash`) + `);|[\x{96}\x{97}\x{2013}-\x{2015}]`, spell: as("--")},
	{name: "ampersand", expr: blind(`&amp;`), spell: as("&")},
	{name: "entity", expr: blind(`&(?:ht|tl|ur|lr|qc|ql|qr|odq|cdq|#[0-9]+);`)},
	{name: "word before 's", expr: word, ahead: auxiliary, keep: untilApostrophe, spell: softHyphens},
	{name: "word before n't", expr: negatable, ahead: negation, keep: untilNegation, spell: softHyphens},
	{name: "word", expr: word, spell: softHyphens},
	{name: "apostrophe word", expr: apostropheWords},
	{name: "y'all", expr: `[yY]` + apostrophe, ahead: javaLetter},
	{name: "'tis", expr: blind(`'t`), ahead: blind(`(?:is|was)`), keep: untilT},

	// Addresses.
	{name: "url", expr: url},
	{name: "site", expr: site},
	{name: "mail", expr: mail},
	{name: "handle", expr: handle},

	// What is left of a word taken apart.
	{name: "'s", expr: auxiliary, ahead: `[^A-Za-z]`, spell: straightQuotes},
	{name: "n't", expr: negation, ahead: `[^A-Za-z]`, spell: straightQuotes},

	// Numbers and money.
	{name: "date", expr: date},
	{name: "number", expr: number, spell: softHyphens},
	{name: "raised number", expr: raised},
	{name: "fraction", expr: fraction, spell: hardSpaces},
	{name: "vulgar fraction", expr: `[\x{BC}-\x{BE}\x{2153}-\x{215E}]`, spell: vulgarFraction},
	{name: "fixed", expr: fixedTokens, spell: ampersands},
	{name: "slashed", expr: slashed},
	{name: "dollar", expr: `[A-Z]*\$|#`},
	{name: "currency", expr: `[\x{80}\x{A2}-\x{A5}\x{20A0}\x{20AC}]`, spell: currency},

	// Abbreviations.
	{name: "opening '", expr: `'`, ahead: `[A-Za-z][^ \t\n\x{A0}]`, keep: firstByte, spell: as("`")},
	{name: "closing abbreviation in a word", expr: closingAbbreviations + `\.`, ahead: `(?s:..)`, keep: untilLastDot},
	{name: "closing abbreviation", expr: closingAbbreviations + `\.`},
	{name: "initials before a sentence", expr: initials + `\.`, ahead: gap + `+(?:` + sentenceOpeners + `|` + tag + `)` + gap, keep: untilGap, spell: lastInitial},
	{name: "country pair", expr: countryPairs, ahead: gap},
	{name: "initials", expr: initials + `\.`},
	{name: "leading abbreviation", expr: leadingAbbreviations + `\.`},
	{name: "number abbreviation", expr: numberAbbreviations + `\.`, ahead: gap + `?` + digit, keep: untilDot},
	{name: "file", expr: file, ahead: `[\n.?!,` + blanks + `]`},
	{name: "word.", expr: word + `\.`, ahead: stop, spell: softHyphens},
	{name: "phone", expr: phone, spell: phoneNumber},

	// Punctuation and symbols.
	{name: `opening "`, expr: quotMark, ahead: `[A-Za-z0-9$]`, spell: doubleQuote("``")},
	{name: `closing "`, expr: quotMark, spell: doubleQuote("''")},
	{name: "&lt;", expr: blind(`&lt;`), spell: as("<")},
	{name: "&gt;", expr: blind(`&gt;`), spell: as(">")},
	{name: "smiley", expr: smiley, ahead: `[^A-Za-z0-9]`, spell: roundBrackets},
	{name: "kaomoji", expr: kaomoji, spell: roundBrackets},
	{name: "bracket", expr: `[()\[\]{}]`, spell: brackets},
	{name: "dots", expr: `\.{3,5}|(?:\.[ \x{A0}]){2,4}\.|[\x{85}\x{2026}]`, spell: as("...")},
	{name: "run of marks", expr: `[?!]+|@+|_+|\*+|(?:\\\*){1,3}|#+|<<?|>>?`},
	{name: "hyphens", expr: `-+`, spell: hyphens},

	// Compounds, where no rule above reaches as far.
	{name: "hyphenated.", expr: hyphenated + `\.`, ahead: stop, spell: softHyphens},
	{name: "hyphenated", expr: hyphenated, spell: softHyphens},
	{name: "compound.", expr: compound + `\.`, ahead: stop},
	{name: "compound", expr: compound},
	{name: "year", expr: apostrophe + `[0-9]{2}`, ahead: gap},
	{name: "joined capitals.", expr: capitals + `\.`, ahead: stop, spell: ampersands},
	{name: "joined capitals", expr: capitals, spell: ampersands},

	{name: "'s in a word", expr: auxiliary, spell: straightQuotes},
	{name: "quotes", expr: apostrophe + `|''|[\x60\x{91}-\x{94}\x{2018}-\x{201F}\x{2039}\x{203A}\x{AB}\x{BB}]{1,2}`, spell: quotes},
	{name: "symbol", expr: `[.,:/+|$\x{2044}` + symbolRanges + `]`},
	{name: "space", expr: blank + `+|` + blind(`&nbsp;`), spell: as("")},
}
