package ckpt

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ckpt-go/ckpt/internal/fault"
)

// ParseState reads the text of a state file: protobuf text format as
// TensorFlow's reader takes it, with comments, both kinds of quotes, adjacent
// strings, lists in brackets, separators and every escape. Of a path or a
// preserved time stamp given twice the last one holds.
//
// What does not parse, a field that CheckpointState does not have and text that
// is not UTF-8 are a *CorruptError of kind state that tells the line. So is a
// state that names no latest checkpoint, an empty file for one: its text says
// "invalid checkpoint state". Escaped bytes that are not UTF-8 are accepted, so
// that what AppendText wrote can be read; TensorFlow refuses them.
//
// Time is linear in len(text), and so is memory: at most 64 bytes for each byte
// of text, and 1 MiB.
func ParseState(text []byte) (*State, error) {
	p := stateParser{text: text, line: 1}
	if !utf8.Valid(text) {
		p.pos = firstInvalid(text)
		p.line += bytes.Count(text[:p.pos], []byte{'\n'})
		p.start = p.pos
		return nil, p.refuse(errors.New("text is not UTF-8"))
	}
	s := new(State)
	p.next()
	for len(p.token) > 0 {
		if err := p.field(s); err != nil {
			return nil, p.refuse(err)
		}
	}
	if s.Latest == "" {
		return nil, fault.Corrupt(fault.KindState, "invalid checkpoint state: it names no latest checkpoint (%s)", fieldLatest)
	}
	return s, nil
}

// firstInvalid gives the offset of the first byte that is not UTF-8.
func firstInvalid(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return len(text)
}

// stateParser splits text into tokens. An empty token is the end.
type stateParser struct {
	text  []byte
	pos   int // behind the token
	start int // of the token
	line  int // of the token, from 1
	token []byte
}

// refuse says where in the text err was found.
func (p *stateParser) refuse(err error) error {
	return &fault.CorruptError{
		Offset: int64(p.start),
		Length: -1,
		Kind:   fault.KindState,
		Err:    fmt.Errorf("checkpoint state, line %d: %w", p.line, err),
	}
}

// found is the token as an error message shows it.
func (p *stateParser) found() string {
	const shown = 40
	if len(p.token) == 0 {
		return "the end of the text"
	}
	if len(p.token) > shown {
		return strconv.Quote(string(p.token[:shown])) + "…"
	}
	return strconv.Quote(string(p.token))
}

// field reads one `name: value` with its optional separator.
func (p *stateParser) field(s *State) error {
	name := string(p.token)
	switch name {
	case fieldLatest, fieldAll, fieldTimestamps, fieldLastPreserved:
	default:
		return fmt.Errorf("no field of a checkpoint state: %s", p.found())
	}
	p.next()
	if !p.take(':') {
		return fmt.Errorf("expected ':' behind %s, found %s", name, p.found())
	}
	var err error
	switch name {
	case fieldLatest:
		s.Latest, err = p.str()
	case fieldLastPreserved:
		s.LastPreserved, err = p.double()
	case fieldAll:
		err = p.list(func() error {
			path, err := p.str()
			s.All = append(s.All, path)
			return err
		})
	case fieldTimestamps:
		err = p.list(func() error {
			seconds, err := p.double()
			s.Timestamps = append(s.Timestamps, seconds)
			return err
		})
	}
	if err != nil {
		return err
	}
	if !p.take(',') {
		p.take(';')
	}
	return nil
}

// list reads one value or a list of values in brackets.
func (p *stateParser) list(value func() error) error {
	if !p.take('[') {
		return value()
	}
	if p.take(']') {
		return nil
	}
	for {
		if err := value(); err != nil {
			return err
		}
		if p.take(']') {
			return nil
		}
		if !p.take(',') {
			return fmt.Errorf("expected ',' or ']' in a list, found %s", p.found())
		}
	}
}

// take steps over a token of one byte if it is c.
func (p *stateParser) take(c byte) bool {
	if len(p.token) != 1 || p.token[0] != c {
		return false
	}
	p.next()
	return true
}

// str reads one or more adjacent strings.
func (p *stateParser) str() (string, error) {
	if len(p.token) == 0 || !isQuote(p.token[0]) {
		return "", fmt.Errorf("expected a string, found %s", p.found())
	}
	var value []byte
	for len(p.token) > 0 && isQuote(p.token[0]) {
		n := len(p.token)
		if n < 2 || p.token[n-1] != p.token[0] {
			return "", fmt.Errorf("string without its ending quote: %s", p.found())
		}
		var err error
		if value, err = appendUnescaped(value, p.token[1:n-1]); err != nil {
			return "", err
		}
		p.next()
	}
	return string(value), nil
}

// double reads a number as Python's float does, with C's suffix f.
func (p *stateParser) double() (float64, error) {
	value, ok := parseDouble(string(p.token))
	if !ok {
		return 0, fmt.Errorf("expected a number, found %s", p.found())
	}
	p.next()
	return value, nil
}

// next finds the next token: a name, a number, a string or a single character.
func (p *stateParser) next() {
	p.skipSpace()
	p.start = p.pos
	if p.pos == len(p.text) {
		p.token = nil
		return
	}
	switch c := p.text[p.pos]; {
	case isLetter(c):
		p.skipWhile(func(c byte) bool { return isLetter(c) || isDigit(c) || c == '+' || c == '-' })
	case isDigit(c), c == '+', c == '-', c == '.' && p.pos+1 < len(p.text) && isDigit(p.text[p.pos+1]):
		p.skipWhile(func(c byte) bool { return isLetter(c) || isDigit(c) || c == '.' || c == '+' || c == '-' })
	case isQuote(c):
		p.skipString(c)
	default:
		_, size := utf8.DecodeRune(p.text[p.pos:])
		p.pos += size
	}
	p.token = p.text[p.start:p.pos]
}

// skipSpace steps over white space and comments and counts lines.
func (p *stateParser) skipSpace() {
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		switch {
		case c == '\n':
			p.line++
			p.pos++
		case c == '#':
			n := bytes.IndexByte(p.text[p.pos:], '\n')
			if n < 0 {
				n = len(p.text) - p.pos
			}
			p.pos += n
		default:
			r, size := utf8.DecodeRune(p.text[p.pos:])
			// Python counts the four separators of ASCII as space too.
			if !unicode.IsSpace(r) && (r < 0x1c || r > 0x1f) {
				return
			}
			p.pos += size
		}
	}
}

func (p *stateParser) skipWhile(accept func(c byte) bool) {
	for p.pos < len(p.text) && accept(p.text[p.pos]) {
		p.pos++
	}
}

// skipString steps over a string; one that its line does not close ends there.
func (p *stateParser) skipString(quote byte) {
	p.pos++
	for p.pos < len(p.text) && p.text[p.pos] != '\n' {
		switch p.text[p.pos] {
		case quote:
			p.pos++
			return
		case '\\':
			p.pos++
			if p.pos == len(p.text) || p.text[p.pos] == '\n' {
				return
			}
		}
		p.pos++
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isQuote(c byte) bool  { return c == '"' || c == '\'' }

// simpleEscapes are the escapes of one letter.
var simpleEscapes = map[byte]byte{
	'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v',
	'\\': '\\', '\'': '\'', '"': '"',
}

// appendUnescaped appends the value of a string without its quotes. A backslash
// before any other character stands for itself, as in Python.
func appendUnescaped(b, s []byte) ([]byte, error) {
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			b = append(b, s[i])
			i++
			continue
		}
		i++
		if i == len(s) {
			return nil, errors.New("string ends in a backslash")
		}
		c := s[i]
		if plain, ok := simpleEscapes[c]; ok {
			b = append(b, plain)
			i++
			continue
		}
		var err error
		var n int
		switch {
		case c >= '0' && c <= '7':
			b, n, err = appendNumbered(b, s[i:], 8, 1, 3)
		case c == 'x':
			b, n, err = appendNumbered(b, s[i+1:], 16, 1, 2)
			n++
		case c == 'u':
			b, n, err = appendCodePoint(b, s[i+1:], 4)
			n++
		case c == 'U':
			b, n, err = appendCodePoint(b, s[i+1:], 8)
			n++
		case c == 'N':
			err = errors.New(`character names (\N) are not supported`)
		default:
			b = append(b, '\\', c)
			n = 1
		}
		if err != nil {
			return nil, err
		}
		i += n
	}
	return b, nil
}

// digits counts the leading digits of s in the base, at most limit.
func digits(s []byte, base, limit int) int {
	n := 0
	for n < len(s) && n < limit {
		if _, err := strconv.ParseUint(string(s[n:n+1]), base, 8); err != nil {
			break
		}
		n++
	}
	return n
}

// appendNumbered appends the byte that the digits at the start of s give.
func appendNumbered(b, s []byte, base, least, most int) ([]byte, int, error) {
	n := digits(s, base, most)
	if n < least {
		return nil, 0, errors.New("escape without digits in a string")
	}
	value, err := strconv.ParseUint(string(s[:n]), base, 8)
	if err != nil {
		return nil, 0, fmt.Errorf("escape of more than one byte in a string: %q", s[:n])
	}
	return append(b, byte(value)), n, nil
}

// appendCodePoint appends the character whose number the n digits of s give.
func appendCodePoint(b, s []byte, n int) ([]byte, int, error) {
	if digits(s, 16, n) < n {
		return nil, 0, fmt.Errorf("escape with fewer than %d digits in a string", n)
	}
	value, err := strconv.ParseUint(string(s[:n]), 16, 32)
	if err != nil || value > unicode.MaxRune || !utf8.ValidRune(rune(value)) {
		return nil, 0, fmt.Errorf("escape that is no character in a string: %q", s[:n])
	}
	return utf8.AppendRune(b, rune(value)), n, nil
}

// parseDouble reads a number in any spelling TensorFlow's reader knows: no
// octal and hexadecimal ones, but infinities, underscores between digits, C's
// suffix f. Values too large for a double are infinite.
func parseDouble(token string) (float64, bool) {
	unsigned := strings.TrimPrefix(token, "-")
	if len(unsigned) > 1 && unsigned[0] == '0' && isDigit(unsigned[1]) {
		return 0, false
	}
	if value, ok := parsePythonFloat(token); ok {
		return value, true
	}
	switch lower := strings.TrimSuffix(strings.ToLower(token), "f"); lower {
	case "inf", "-inf", "infinity", "-infinity", "nan":
		return parsePythonFloat(lower)
	}
	return parsePythonFloat(strings.TrimRight(token, "fF"))
}

func parsePythonFloat(text string) (float64, bool) {
	unsigned := text
	if unsigned != "" && (unsigned[0] == '+' || unsigned[0] == '-') {
		unsigned = unsigned[1:]
	}
	switch strings.ToLower(unsigned) {
	case "inf", "infinity":
		if text[0] == '-' {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	case "nan":
		return math.NaN(), true
	}
	for i, c := range []byte(unsigned) {
		switch {
		case isDigit(c), c == '.', c == 'e', c == 'E', c == '+', c == '-':
		case c == '_' && i > 0 && isDigit(unsigned[i-1]) && i+1 < len(unsigned) && isDigit(unsigned[i+1]):
		default:
			return 0, false
		}
	}
	value, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return value, true
}
