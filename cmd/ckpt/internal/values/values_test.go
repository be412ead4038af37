package values_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt/cmd/ckpt/internal/values"
	"github.com/ckpt-go/ckpt/tensor"
)

func list(t *testing.T, d tensor.DType, shape tensor.Shape, data []byte) *values.List {
	t.Helper()
	made, err := tensor.New(d, shape, data)
	if err != nil {
		t.Fatal(err)
	}
	l, err := values.Of(made)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func of[T tensor.Element](t *testing.T, shape tensor.Shape, v ...T) *values.List {
	t.Helper()
	made, err := tensor.Of(shape, v)
	if err != nil {
		t.Fatal(err)
	}
	l, err := values.Of(made)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// allPatterns is a tensor of every bit pattern of a dtype of up to 16 bits.
func allPatterns(t *testing.T, d tensor.DType, bits int) *values.List {
	n := 1 << bits
	data := make([]byte, 0, 2*n)
	for i := range n {
		if d.Size() == 2 {
			data = binary.LittleEndian.AppendUint16(data, uint16(i))
		} else {
			data = append(data, byte(i))
		}
	}
	return list(t, d, tensor.Shape{int64(n)}, data)
}

// The hashes are of ml_dtypes and numpy: the float64 values of all bit patterns in
// order with 0 for NaN, then a byte for each that says whether it is NaN. What
// is printed must lead back to the value, rounded to the nearest of the format.
func TestSmallFloats(t *testing.T) {
	for _, test := range []struct {
		dtype tensor.DType
		bits  int
		want  string
	}{
		{tensor.Float16, 16, "0e3be180ad09d8073445879b5f37fb5de66ea3ff817f0af5ce6995930dfc3f39"},
		{tensor.BFloat16, 16, "f52a1db4a3607322d423db4e5d602d0c04584486e76388fe44f292068bbe16b0"},
		{tensor.Float8E5M2, 8, "3791410aafcc5543abe529d9bf87a1d03f073c62f5ff0a9d2cbad380284ae2a4"},
		{tensor.Float8E4M3FN, 8, "54c780ff1495740a59a4d8eceac688c60b13b87720a3fca89a0fe4db00765689"},
		{tensor.Float8E4M3FNUZ, 8, "45e2dda692db2fac6cef1aaac9d55136f57882e34d8fc552f0b9251dec80664b"},
		{tensor.Float8E4M3B11FNUZ, 8, "e04354f74538de14aa1efd0ffdca63c5f5dddd46721bcc9995bca62ec5e75213"},
		{tensor.Float8E5M2FNUZ, 8, "f2e855d5ba07144eb9cbee9153411da3ed2188d96b1d47ef7c9f849c904243d5"},
		{tensor.Float4E2M1FN, 4, "d0c4ba7f9369bf41cd66d8c45b3856f7a97cb63e0bb58c92cfcc418fce698505"},
	} {
		t.Run(test.dtype.String(), func(t *testing.T) {
			all, err := values.AllSmall(test.dtype)
			if err != nil {
				t.Fatal(err)
			}
			var numbers, nans []byte
			for _, v := range all {
				if math.IsNaN(v) {
					numbers, nans = binary.LittleEndian.AppendUint64(numbers, 0), append(nans, 1)
					continue
				}
				numbers, nans = binary.LittleEndian.AppendUint64(numbers, math.Float64bits(v)), append(nans, 0)
			}
			sum := sha256.Sum256(append(numbers, nans...))
			if got := hex.EncodeToString(sum[:]); got != test.want {
				t.Errorf("values of all bit patterns: got hash %s, want %s", got, test.want)
			}
			l := allPatterns(t, test.dtype, test.bits)
			for i, want := range all {
				text := string(l.AppendText(nil, i))
				v, err := strconv.ParseFloat(text, 64)
				if err != nil {
					t.Fatalf("pattern %#x: %v", i, err)
				}
				if got := nearest(all, v, i); math.Float64bits(got) != math.Float64bits(want) && !math.IsNaN(want) {
					t.Fatalf("pattern %#x: printed %s, which leads to %v instead of %v", i, text, got, want)
				}
				if math.IsNaN(v) != math.IsNaN(want) {
					t.Fatalf("pattern %#x: printed %s for %v", i, text, want)
				}
			}
		})
	}
}

// nearest checks the neighbours of pattern i only: the values of patterns of one
// sign ascend.
func nearest(all []float64, v float64, i int) float64 {
	best := all[i]
	for _, j := range []int{i - 1, i + 1} {
		if j < 0 || j >= len(all) || math.IsNaN(all[j]) || math.IsInf(all[j], 0) || math.Signbit(all[j]) != math.Signbit(all[i]) {
			continue
		}
		if math.Abs(all[j]-v) <= math.Abs(best-v) && all[j] != best {
			best = all[j]
		}
	}
	return best
}

func TestElements(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, test := range []struct {
		name       string
		list       *values.List
		text, json string // elements joined by spaces and commas
	}{
		{"float32", of(t, tensor.Shape{6}, float32(0.1), 1, -2.5, 1e-5, 123456789, 16777216),
			"0.1 1.0 -2.5 1e-05 1.2345679e+08 16777216.0", `0.1,1,-2.5,1e-05,1.2345679e+08,1.6777216e+07`},
		{"float64", of(t, tensor.Shape{6}, 0.1, nan, inf, -inf, math.Copysign(0, -1), 1e300),
			"0.1 nan inf -inf -0.0 1e+300", `0.1,"NaN","Infinity","-Infinity",-0,1e+300`},
		{"int64", of(t, tensor.Shape{2}, int64(math.MinInt64), math.MaxInt64),
			"-9223372036854775808 9223372036854775807", "-9223372036854775808,9223372036854775807"},
		{"uint64", of(t, tensor.Shape{2}, uint64(math.MaxUint64), 1), "18446744073709551615 1", "18446744073709551615,1"},
		{"int8", of(t, tensor.Shape{2}, int8(-128), 127), "-128 127", "-128,127"},
		{"int16", of(t, tensor.Shape{2}, int16(-32768), 1), "-32768 1", "-32768,1"},
		{"int32", of(t, tensor.Shape{2}, int32(math.MinInt32), 1), "-2147483648 1", "-2147483648,1"},
		{"uint8", of(t, tensor.Shape{1}, uint8(255)), "255", "255"},
		{"uint16", of(t, tensor.Shape{1}, uint16(65535)), "65535", "65535"},
		{"uint32", of(t, tensor.Shape{1}, uint32(math.MaxUint32)), "4294967295", "4294967295"},
		{"qint8", list(t, tensor.QInt8, tensor.Shape{1}, []byte{0xff}), "-1", "-1"},
		{"qint32", list(t, tensor.QInt32, tensor.Shape{1}, []byte{0xfe, 0xff, 0xff, 0xff}), "-2", "-2"},
		{"int4", list(t, tensor.Int4, tensor.Shape{3}, []byte{0xf8, 0x0f, 0x07}), "-8 -1 7", "-8,-1,7"},
		{"uint4", list(t, tensor.Uint4, tensor.Shape{2}, []byte{0xff, 0x07}), "15 7", "15,7"},
		{"int2", list(t, tensor.Int2, tensor.Shape{2}, []byte{0x02, 0x01}), "-2 1", "-2,1"},
		{"uint2", list(t, tensor.Uint2, tensor.Shape{1}, []byte{0x03}), "3", "3"},
		{"bool", list(t, tensor.Bool, tensor.Shape{3}, []byte{0, 1, 7}), "false true true", "false,true,true"},
		{"complex64", of(t, tensor.Shape{2}, complex64(complex(0.1, -2)), 0), "0.1-2.0j 0.0+0.0j", "[0.1, -2],[0, 0]"},
		{"complex128", of(t, tensor.Shape{1}, complex(inf, nan)), "inf+nanj", `["Infinity", "NaN"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			checkElements(t, test.list, test.text, test.json)
		})
	}
}

// A tensor longer than what is decoded at once, read forwards, backwards and from
// both ends.
func TestManyElements(t *testing.T) {
	const n = 5000
	v := make([]uint16, n)
	for i := range v {
		v[i] = uint16(i * 7)
	}
	l := of(t, tensor.Shape{n}, v...)
	if l.Len() != n {
		t.Fatalf("got %d elements, want %d", l.Len(), n)
	}
	for i := range n {
		for _, at := range []int{i, n - 1 - i} {
			want := strconv.Itoa(int(v[at]))
			if text, asJSON := string(l.AppendText(nil, at)), string(l.AppendJSON(nil, at)); text != want || asJSON != want {
				t.Fatalf("element %d: got %s and %s, want %s", at, text, asJSON, want)
			}
		}
	}
	half := make([]complex64, n)
	half[n-1] = complex(1, -2)
	if got, want := string(of(t, tensor.Shape{n}, half...).AppendText(nil, n-1)), "1.0-2.0j"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A dtype without values is an error, also where there are no elements.
func TestNoValues(t *testing.T) {
	if _, err := values.Of(new(tensor.Tensor)); err == nil || !strings.Contains(err.Error(), "cannot be shown") {
		t.Errorf("got %v, want that it cannot be shown", err)
	}
}

func TestStrings(t *testing.T) {
	elements := [][]byte{[]byte("plain"), []byte("a\x1b[31m<&>\n"), {0xff, 0xfe}, []byte("ünï"), {}}
	made, err := tensor.NewStrings(tensor.Shape{5}, elements)
	if err != nil {
		t.Fatal(err)
	}
	l, err := values.Of(made)
	if err != nil {
		t.Fatal(err)
	}
	checkElements(t, l, `"plain" "a\x1b[31m<&>\n" "\xff\xfe" "ünï" ""`, `"plain","a\u001b[31m<&>\n",{"b64": "//4="},"ünï",""`)

	made, err = tensor.NewVariants(tensor.Shape{1}, [][]byte{[]byte("ab")})
	if err != nil {
		t.Fatal(err)
	}
	if l, err = values.Of(made); err != nil {
		t.Fatal(err)
	}
	checkElements(t, l, `"ab"`, `{"b64": "YWI="}`)
}

func checkElements(t *testing.T, l *values.List, text, asJSON string) {
	t.Helper()
	var texts, jsons []string
	for i := range l.Len() {
		texts = append(texts, string(l.AppendText(nil, i)))
		b := l.AppendJSON(nil, i)
		if !json.Valid(b) {
			t.Errorf("element %d: %s is no JSON", i, b)
		}
		jsons = append(jsons, string(b))
	}
	if diff := cmp.Diff(strings.Join(texts, " "), text); diff != "" {
		t.Errorf("text (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(strings.Join(jsons, ","), asJSON); diff != "" {
		t.Errorf("JSON (-got +want):\n%s", diff)
	}
}

func TestPrint(t *testing.T) {
	for _, test := range []struct {
		name string
		list *values.List
		all  bool
		want string
	}{
		{"scalar", of(t, nil, int32(7)), false, "7\n"},
		{"vector", of(t, tensor.Shape{3}, int32(7), -10, 3), false, "[  7 -10   3]\n"},
		{"empty", of[int32](t, tensor.Shape{2, 0}), false, "[]\n"},
		{"matrix", of(t, tensor.Shape{2, 2}, 1.0, 2, 3, 4.5), false, "[[1.0 2.0]\n [3.0 4.5]]\n"},
		{"cube", of(t, tensor.Shape{2, 2, 1}, true, false, true, false), false,
			"[[[ true]\n  [false]]\n\n [[ true]\n  [false]]]\n"},
		{"1000 values", count(t, tensor.Shape{250, 4}), false, all(250, 4)},
		{"1004 values", count(t, tensor.Shape{251, 4}), false,
			"[[   0    1    2    3]\n [   4    5    6    7]\n [   8    9   10   11]\n ...\n" +
				" [ 992  993  994  995]\n [ 996  997  998  999]\n [1000 1001 1002 1003]]\n"},
		{"1004 values, all", count(t, tensor.Shape{251, 4}), true, all(251, 4)},
		{"long vector", count(t, tensor.Shape{1001}), false, "[   0    1    2 ...  998  999 1000]\n"},
		{"wide row", count(t, tensor.Shape{30}), false,
			"[ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23\n 24 25 26 27 28 29]\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b strings.Builder
			if err := values.Print(&b, test.list, &values.Options{All: test.all}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(b.String(), test.want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

func count(t *testing.T, shape tensor.Shape) *values.List {
	n, _ := shape.Elements()
	v := make([]int32, n)
	for i := range v {
		v[i] = int32(i)
	}
	return of(t, shape, v...)
}

// all is what count looks like as a matrix of four-digit width or less.
func all(rows, columns int) string {
	width := len(strconv.Itoa(rows*columns - 1))
	var b strings.Builder
	for r := range rows {
		b.WriteString(map[bool]string{true: "[", false: " "}[r == 0] + "[")
		for c := range columns {
			text := strconv.Itoa(r*columns + c)
			b.WriteString(map[bool]string{true: "", false: " "}[c == 0] + strings.Repeat(" ", width-len(text)) + text)
		}
		b.WriteString(map[bool]string{true: "]]\n", false: "]\n"}[r == rows-1])
	}
	return b.String()
}

func TestPrintLongString(t *testing.T) {
	made, err := tensor.NewStrings(nil, [][]byte{[]byte(strings.Repeat("ä", 600))})
	if err != nil {
		t.Fatal(err)
	}
	l, err := values.Of(made)
	if err != nil {
		t.Fatal(err)
	}
	var short, whole strings.Builder
	if err := values.Print(&short, l, nil); err != nil {
		t.Fatal(err)
	}
	if err := values.Print(&whole, l, &values.Options{All: true}); err != nil {
		t.Fatal(err)
	}
	if got, want := short.String(), `"`+strings.Repeat("ä", 500)+"\"… (1200 bytes)\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := whole.String(), `"`+strings.Repeat("ä", 600)+"\"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// JSON may hold characters as they are that do something to a terminal.
func TestEscapeJSON(t *testing.T) {
	for text, want := range map[string]string{
		`"plain ü 漢 \u001b"`:  `"plain ü 漢 \u001b"`,
		"\"\x7f\"":            `"\u007f"`,
		"\"a\u009b1m\"":       `"a\u009b1m"`,
		"\"\u202eabc\u2066\"": `"\u202eabc\u2066"`,
		"\"\U000e0001\"":      `"\udb40\udc01"`,
	} {
		got := string(values.EscapeJSON([]byte(text)))
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
		var before, after string
		if err := errors.Join(json.Unmarshal([]byte(text), &before), json.Unmarshal([]byte(got), &after)); err != nil || before != after {
			t.Errorf("%q: means %q, %v, want %q", text, after, err, before)
		}
	}
}
