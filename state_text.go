package ckpt

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
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
