// Package values writes the elements of tensors of every dtype: as text laid out
// as numpy does, and as JSON.
package values

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/ckpt-go/ckpt/tensor"
)

// List gives the elements of one tensor, in row-major order.
type List struct {
	dtype    tensor.DType
	shape    tensor.Shape
	data     []byte
	elements [][]byte
	size     int
	small    *smallFloat
	clip     int // most bytes of a string shown as text, 0 for all
}

// Of returns the elements of t. Those of a dtype this package does not know are
// an error.
func Of(t *tensor.Tensor) (*List, error) {
	l := &List{dtype: t.DType(), shape: t.Shape(), data: t.Bytes(), elements: t.Strings(), size: t.DType().Size()}
	l.small = smallFloats[l.dtype]
	switch {
	case l.isBytes() || l.size > 0:
		return l, nil
	}
	return nil, fmt.Errorf("values of dtype %s cannot be shown", l.dtype)
}

func (l *List) isBytes() bool { return l.dtype == tensor.String || l.dtype == tensor.Variant }

// Len is the number of elements.
func (l *List) Len() int {
	if l.isBytes() {
		return len(l.elements)
	}
	return len(l.data) / l.size
}

func (l *List) raw(i int) []byte { return l.data[i*l.size : (i+1)*l.size] }

// integer gives an element of an integer dtype: as signed, or as unsigned where it
// needs the 64th bit.
func (l *List) integer(i int) (signed int64, unsigned uint64, ok bool) {
	b := l.raw(i)
	switch l.dtype {
	case tensor.Int8, tensor.QInt8:
		return int64(int8(b[0])), 0, true
	case tensor.Uint8, tensor.QUint8:
		return int64(b[0]), 0, true
	case tensor.Int16, tensor.QInt16:
		return int64(int16(binary.LittleEndian.Uint16(b))), 0, true
	case tensor.Uint16, tensor.QUint16:
		return int64(binary.LittleEndian.Uint16(b)), 0, true
	case tensor.Int32, tensor.QInt32:
		return int64(int32(binary.LittleEndian.Uint32(b))), 0, true
	case tensor.Uint32:
		return int64(binary.LittleEndian.Uint32(b)), 0, true
	case tensor.Int64:
		return int64(binary.LittleEndian.Uint64(b)), 0, true
	case tensor.Uint64:
		u := binary.LittleEndian.Uint64(b)
		return int64(u), u, true
	case tensor.Int4: // the low bits count
		return int64(int8(b[0]<<4) >> 4), 0, true
	case tensor.Uint4:
		return int64(b[0] & 15), 0, true
	case tensor.Int2:
		return int64(int8(b[0]<<6) >> 6), 0, true
	case tensor.Uint2:
		return int64(b[0] & 3), 0, true
	}
	return 0, 0, false
}

// float gives an element of a float dtype, or half of a complex one, and the bits
// that its shortest decimal needs.
func (l *List) float(i, half int) (v float64, bits int) {
	b := l.raw(i)
	switch l.dtype {
	case tensor.Float32, tensor.Complex64:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*half:]))), 32
	case tensor.Float64, tensor.Complex128:
		return math.Float64frombits(binary.LittleEndian.Uint64(b[8*half:])), 64
	}
	if l.size == 2 {
		return l.small.decimal(binary.LittleEndian.Uint16(b)), 64
	}
	return l.small.decimal(uint16(b[0])), 64
}

// AppendText appends an element as a person reads it: numbers with as many
// digits as tell them from their neighbours, strings quoted.
func (l *List) AppendText(b []byte, i int) []byte {
	switch l.dtype {
	case tensor.String, tensor.Variant:
		return appendQuoted(b, l.elements[i], l.clip)
	case tensor.Bool:
		return strconv.AppendBool(b, l.raw(i)[0] != 0)
	case tensor.Complex64, tensor.Complex128:
		re, bits := l.float(i, 0)
		im, _ := l.float(i, 1)
		b = appendFloat(b, re, bits)
		if !math.Signbit(im) || math.IsNaN(im) {
			b = append(b, '+')
		}
		return append(appendFloat(b, im, bits), 'j')
	}
	if signed, unsigned, ok := l.integer(i); ok {
		return appendInteger(b, signed, unsigned)
	}
	v, bits := l.float(i, 0)
	return appendFloat(b, v, bits)
}

func appendInteger(b []byte, signed int64, unsigned uint64) []byte {
	if unsigned > math.MaxInt64 {
		return strconv.AppendUint(b, unsigned, 10)
	}
	return strconv.AppendInt(b, signed, 10)
}

func appendFloat(b []byte, v float64, bits int) []byte {
	switch abs := math.Abs(v); {
	case math.IsNaN(v):
		return append(b, "nan"...)
	case math.IsInf(v, 1):
		return append(b, "inf"...)
	case math.IsInf(v, -1):
		return append(b, "-inf"...)
	case abs != 0 && (abs < 1e-4 || abs >= 1e8):
		return strconv.AppendFloat(b, v, 'e', -1, bits)
	}
	start := len(b)
	b = strconv.AppendFloat(b, v, 'f', -1, bits)
	if !strings.Contains(string(b[start:]), ".") {
		b = append(b, ".0"...)
	}
	return b
}

func appendQuoted(b, s []byte, most int) []byte {
	if most > 0 && len(s) > most {
		b = strconv.AppendQuote(b, strings.ToValidUTF8(string(s[:most]), "\ufffd"))
		return fmt.Appendf(b, "… (%d bytes)", len(s))
	}
	return strconv.AppendQuote(b, string(s))
}

// AppendJSON appends an element as JSON: numbers as numbers, except "NaN", "Infinity"
// and "-Infinity"; a complex number as the list of its halves; a string as string,
// or {"b64": "…"} if it is not UTF-8; a variant always as the latter.
func (l *List) AppendJSON(b []byte, i int) []byte {
	switch l.dtype {
	case tensor.String:
		if utf8.Valid(l.elements[i]) {
			return appendJSONString(b, string(l.elements[i]))
		}
		return appendBase64(b, l.elements[i])
	case tensor.Variant:
		return appendBase64(b, l.elements[i])
	case tensor.Bool:
		return strconv.AppendBool(b, l.raw(i)[0] != 0)
	case tensor.Complex64, tensor.Complex128:
		re, bits := l.float(i, 0)
		im, _ := l.float(i, 1)
		b = appendJSONFloat(append(b, '['), re, bits)
		return append(appendJSONFloat(append(b, ", "...), im, bits), ']')
	}
	if signed, unsigned, ok := l.integer(i); ok {
		return appendInteger(b, signed, unsigned)
	}
	v, bits := l.float(i, 0)
	return appendJSONFloat(b, v, bits)
}

func appendJSONFloat(b []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(b, `"-Infinity"`...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, bits)
}

func appendJSONString(b []byte, s string) []byte {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // a string cannot fail to encode
	}
	return append(b, EscapeJSON([]byte(strings.TrimSuffix(text.String(), "\n")))...)
}

// EscapeJSON replaces, in a JSON text, characters that do something to a terminal
// and that JSON allows as they are (DEL, the control characters of Latin-1, marks
// of writing direction) by their escapes. It returns text itself if there are none.
func EscapeJSON(text []byte) []byte {
	unsafe := func(r rune) bool { return r > '~' && !strconv.IsPrint(r) }
	if bytes.IndexFunc(text, unsafe) < 0 {
		return text
	}
	out := make([]byte, 0, len(text)+len(text)/8)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case !unsafe(r):
			out = append(out, text[:size]...)
		case r <= math.MaxUint16:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		}
		text = text[size:]
	}
	return out
}

func appendBase64(b, s []byte) []byte {
	b = append(b, `{"b64": "`...)
	b = base64.StdEncoding.AppendEncode(b, s)
	return append(b, `"}`...)
}
