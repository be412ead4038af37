// Package values writes the elements of tensors of every dtype: as text laid out
// as numpy does, and as JSON.
package values

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/ckpt-go/ckpt/tensor"
)

// List gives the elements of one tensor, in row-major order. It is not safe for
// concurrent use.
type List struct {
	dtype    tensor.DType
	shape    tensor.Shape
	data     []byte
	elements [][]byte
	size     int         // of an element
	small    *smallFloat // of a small float dtype
	clip     int         // most bytes of a string shown as text, 0 for all

	decoded block
}

// block is some elements as Go numbers. A tensor may be large and of one byte an
// element: all of it as numbers would take eight times its memory.
type block struct {
	first, n int
	floats   []float64 // of float dtypes; of complex ones each half
	ints     []int64   // of integer dtypes and bool; the bits of uint64
}

// blockLen is how many elements are decoded at once.
const blockLen = 1024

// Of returns the elements of t. Those of a dtype this package does not know are
// an error.
func Of(t *tensor.Tensor) (*List, error) {
	l := &List{dtype: t.DType(), shape: t.Shape(), data: t.Bytes(), elements: t.Strings(), size: t.DType().Size()}
	if l.isBytes() {
		return l, nil
	}
	if l.size == 0 {
		return nil, fmt.Errorf("values of dtype %s cannot be shown", l.dtype)
	}
	err := l.decode(0)
	if err == nil {
		l.small, err = newSmallFloat(l.dtype)
	}
	if err != nil {
		return nil, fmt.Errorf("values of dtype %s cannot be shown: %w", l.dtype, err)
	}
	return l, nil
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

// decode makes numbers of the block of element i. Whether that can be done
// depends on the dtype alone.
func (l *List) decode(i int) error {
	d := block{first: i - i%blockLen}
	d.n = min(blockLen, l.Len()-d.first)
	dtype, n := l.dtype, d.n
	switch dtype {
	case tensor.Complex64:
		dtype, n = tensor.Float32, 2*n
	case tensor.Complex128:
		dtype, n = tensor.Float64, 2*n
	case tensor.Uint64:
		dtype = tensor.Int64
	}
	part, err := tensor.New(dtype, tensor.Shape{int64(n)}, l.data[d.first*l.size:(d.first+d.n)*l.size])
	if err != nil {
		return err
	}
	if d.ints, err = tensor.Ints(part); err != nil {
		if d.floats, err = tensor.Floats[float64](part); err != nil {
			return err
		}
	}
	l.decoded = d
	return nil
}

// at gives the decoded block that has element i, and where.
func (l *List) at(i int) (d *block, j int) {
	d = &l.decoded
	if i < d.first || i >= d.first+d.n {
		if err := l.decode(i); err != nil {
			panic(err) // the first block of this dtype was decoded
		}
	}
	return d, i - d.first
}

// float gives an element of a float dtype, or half of a complex one, and the bits
// that its shortest decimal needs.
func (l *List) float(i, half int) (v float64, bits int) {
	d, j := l.at(i)
	switch l.dtype {
	case tensor.Float32:
		return d.floats[j], 32
	case tensor.Float64:
		return d.floats[j], 64
	case tensor.Complex64:
		return d.floats[2*j+half], 32
	case tensor.Complex128:
		return d.floats[2*j+half], 64
	}
	return l.small.decimal(l.raw(i)), 64
}

// integer appends an element if the dtype is an integer one, or bool.
func (l *List) integer(b []byte, i int) (appended []byte, ok bool) {
	d, j := l.at(i)
	switch {
	case d.ints == nil:
		return b, false
	case l.dtype == tensor.Bool:
		return strconv.AppendBool(b, d.ints[j] != 0), true
	case l.dtype == tensor.Uint64:
		return strconv.AppendUint(b, uint64(d.ints[j]), 10), true
	}
	return strconv.AppendInt(b, d.ints[j], 10), true
}

// AppendText appends an element as a person reads it: numbers with as many
// digits as tell them from their neighbours, strings quoted.
func (l *List) AppendText(b []byte, i int) []byte {
	switch l.dtype {
	case tensor.String, tensor.Variant:
		return appendQuoted(b, l.elements[i], l.clip)
	case tensor.Complex64, tensor.Complex128:
		re, bits := l.float(i, 0)
		im, _ := l.float(i, 1)
		b = appendFloat(b, re, bits)
		if !math.Signbit(im) || math.IsNaN(im) {
			b = append(b, '+')
		}
		return append(appendFloat(b, im, bits), 'j')
	}
	if b, ok := l.integer(b, i); ok {
		return b
	}
	v, bits := l.float(i, 0)
	return appendFloat(b, v, bits)
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
	case tensor.Complex64, tensor.Complex128:
		re, bits := l.float(i, 0)
		im, _ := l.float(i, 1)
		b = appendJSONFloat(append(b, '['), re, bits)
		return append(appendJSONFloat(append(b, ", "...), im, bits), ']')
	}
	if b, ok := l.integer(b, i); ok {
		return b
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
