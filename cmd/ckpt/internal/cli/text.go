package cli

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable is a name as a person sees it: quoted if it holds what must not
// reach a terminal or could be taken for something else, because names come
// from files.
func printable(name string) string {
	quoted := strconv.Quote(name)
	if name == "" || quoted[1:len(quoted)-1] != name {
		return quoted
	}
	return name
}

// sanitize makes one line of a message, whatever the names in it hold.
func sanitize(message string) string {
	message = strings.ReplaceAll(message, "\n", "; ")
	var b strings.Builder
	for len(message) > 0 {
		r, size := utf8.DecodeRuneInString(message)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, message[0])
		case !strconv.IsPrint(r):
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteString(message[:size])
		}
		message = message[size:]
	}
	return b.String()
}

// clip shortens a name for lines that repeat those of other lines.
func clip(name string) string {
	const most = 300
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

// cutMiddle shortens a message that quotes names of any length: what it begins
// and ends with says where and why.
func cutMiddle(text string) string {
	const most, end = 8 << 10, 2 << 10
	if len(text) <= most {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes left out) …%s", strings.ToValidUTF8(text[:most-end], ""), len(text)-most, strings.ToValidUTF8(text[len(text)-end:], ""))
}

// checkPlain refuses a prefix that must not reach a terminal, or that a script
// would take for several, because it comes from a file; given is what the user
// typed of it. Spaces of all kinds do no harm; marks that change the direction of
// writing, or cannot be seen, do.
func checkPlain(prefix, given string) error {
	unsafe := func(r rune) bool { return !unicode.IsGraphic(r) }
	if own := strings.TrimPrefix(prefix, given); strings.ContainsFunc(own, unsafe) || !utf8.ValidString(own) {
		return fmt.Errorf("the prefix %q holds control characters or is no text, use --json", prefix)
	}
	return nil
}

// humanBytes is a size with three digits, in powers of 1024.
func humanBytes(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	value, unit := float64(n)/1024, 0
	for value >= 999.5 && unit < len("KMGTPE")-1 {
		value /= 1024
		unit++
	}
	digits := 2
	switch {
	case value >= 99.95:
		digits = 0
	case value >= 9.995:
		digits = 1
	}
	return fmt.Sprintf("%.*f %ciB", digits, value, "KMGTPE"[unit])
}

// plural is "1 tensor" or "3 tensors".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// columns collects rows and prints them aligned. A cell wider than maxPad pushes its
// own row only, so that one long name does not widen thousands of rows.
type columns struct {
	right []bool // which columns are numbers
	rows  [][]string
}

const maxPad = 120

func (c *columns) add(cells ...string) { c.rows = append(c.rows, cells) }

func (c *columns) print(w interface{ WriteString(string) (int, error) }) error {
	widths := make([]int, len(c.right))
	for _, row := range c.rows {
		for i, cell := range row {
			if n := utf8.RuneCountInString(cell); n <= maxPad {
				widths[i] = max(widths[i], n)
			}
		}
	}
	var line strings.Builder
	for _, row := range c.rows {
		line.Reset()
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			pad := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell)))
			if c.right[i] {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		if _, err := w.WriteString(strings.TrimRight(line.String(), " ") + "\n"); err != nil {
			return err
		}
	}
	return nil
}
