package interop_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// holder is what can be tracked and has a value that is shown.
type holder interface {
	show() string
	assign(fill int)
	trackable() ckpt.Trackable
}

type numbers struct {
	variable ckpt.Trackable
	data     func() []byte
	set      func(fill int)
}

func (n numbers) show() string              { return hex.EncodeToString(n.data()) }
func (n numbers) assign(fill int)           { n.set(fill) }
func (n numbers) trackable() ckpt.Trackable { return n.variable }

// newNumbers makes a Variable with the element that a fill stands for at i.
func newNumbers[T tensor.Element](op *operation, element func(fill, i int) T) holder {
	v := ckpt.NewVariable[T](op.Name, op.Shape, nil)
	n := numbers{
		variable: v,
		data: func() []byte {
			var b bytes.Buffer
			if err := binary.Write(&b, binary.LittleEndian, v.Data()); err != nil {
				panic(err)
			}
			return b.Bytes()
		},
		set: func(fill int) {
			for i := range v.Data() {
				v.Data()[i] = element(fill, i)
			}
		},
	}
	n.set(op.Fill)
	return n
}

// newRaw makes the same as a RawVariable, through a Variable.
func newRaw(op *operation, typed holder) holder {
	n := typed.(numbers)
	v := ckpt.NewRawVariable(op.Name, n.variable.(ckpt.Saveable).Values()[0].Spec().DType, op.Shape, n.data())
	return numbers{v, v.Bytes, func(fill int) {
		n.set(fill)
		copy(v.Bytes(), n.data())
	}}
}

type stringsHolder struct{ *ckpt.StringVariable }

func (s stringsHolder) trackable() ckpt.Trackable { return s.StringVariable }

func (s stringsHolder) show() string {
	var words []string
	for _, e := range s.Elements() {
		words = append(words, `"`+hex.EncodeToString(e)+`"`)
	}
	return strings.Join(words, " ")
}

func (s stringsHolder) assign(fill int) {
	for i := range s.Elements() {
		s.Elements()[i] = bytes.Repeat(fmt.Appendf(nil, "%d.%d", fill, i), (fill+i)%4)
	}
}

type stateHolder struct {
	text  []byte
	state *ckpt.PythonState
}

func (s *stateHolder) trackable() ckpt.Trackable { return s.state }
func (s *stateHolder) show() string              { return hex.EncodeToString(s.text) }

func (s *stateHolder) assign(fill int) {
	s.text = append(fmt.Appendf(nil, "state %d", fill), bytes.Repeat([]byte("\xff\x00"), fill%3)...)
}

func newState(fill int) *stateHolder {
	s := new(stateHolder)
	s.assign(fill)
	s.state = ckpt.NewPythonState(
		func() ([]byte, error) { return s.text, nil },
		func(data []byte) (func(), error) { return func() { s.text = data }, nil })
	return s
}

func half[T float32 | float64](fill, i int) T { return T(fill*3-i) + 0.5 }
func whole[T int32 | int64](fill, i int) T    { return T(fill*3 - i) }
func odd(fill, i int) bool                    { return (fill+i)%2 == 1 }

func newHolder(op *operation) holder {
	var h holder
	switch op.DType {
	case "float32":
		h = newNumbers(op, half[float32])
	case "float64":
		h = newNumbers(op, half[float64])
	case "int32":
		h = newNumbers(op, whole[int32])
	case "int64":
		h = newNumbers(op, whole[int64])
	case "bool":
		h = newNumbers(op, odd)
	default:
		s := stringsHolder{ckpt.NewStringVariable(op.Name, op.Shape, nil)}
		s.assign(op.Fill)
		return s
	}
	if op.ID%3 == 0 && op.Name != "save_counter" { // which must be a Variable
		return newRaw(op, h)
	}
	return h
}
