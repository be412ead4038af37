package ckpt

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

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
