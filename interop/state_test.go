package interop_test

import (
	"encoding/base64"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ckpt-go/ckpt"
)

// pythonState is a State as server.py takes and gives it: doubles as hexadecimal
// floats, because JSON has no infinities.
type pythonState struct {
	Latest        string   `json:"latest"`
	All           []string `json:"all"`
	Timestamps    []string `json:"timestamps"`
	LastPreserved string   `json:"last_preserved"`
}

func toPython(s *ckpt.State) pythonState {
	p := pythonState{Latest: s.Latest, All: append([]string{}, s.All...), Timestamps: []string{}, LastPreserved: hexFloat(s.LastPreserved)}
	for _, seconds := range s.Timestamps {
		p.Timestamps = append(p.Timestamps, hexFloat(seconds))
	}
	return p
}

func (p *pythonState) state(t *testing.T) *ckpt.State {
	t.Helper()
	s := &ckpt.State{Latest: p.Latest, All: p.All, LastPreserved: parseHexFloat(t, p.LastPreserved)}
	for _, seconds := range p.Timestamps {
		s.Timestamps = append(s.Timestamps, parseHexFloat(t, seconds))
	}
	return s
}

func hexFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return strings.ToLower(strconv.FormatFloat(f, 'g', -1, 64))
	}
	return strconv.FormatFloat(f, 'x', -1, 64)
}

func parseHexFloat(t *testing.T, s string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var sameStates = cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateNaNs()}

// randomString mixes what needs an escape with what does not.
func randomString(r *rand.Rand) string {
	alphabet := []rune("ab/-_.0123\\\"'\n\r\t\x00\x01\x1f\x7fäß\u0085\u00a0\u2028\ufffd\ufeff😀")
	runes := make([]rune, 1+r.IntN(12))
	for i := range runes {
		runes[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(runes)
}

func randomDouble(r *rand.Rand) float64 {
	switch r.IntN(6) {
	case 0:
		special := []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), 1e16, 1e-4, 9.999e-5, 5e-324, math.MaxFloat64}
		return special[r.IntN(len(special))]
	case 1:
		return math.Float64frombits(r.Uint64())
	case 2:
		return float64(r.IntN(2000) - 1000)
	case 3:
		return math.Pow(10, float64(r.IntN(40)-20)) * r.Float64()
	default:
		return 1.7e9 + 1e8*r.Float64()
	}
}

func randomStates(n int) []*ckpt.State {
	r := rand.New(rand.NewPCG(1, 2))
	states := make([]*ckpt.State, n)
	for i := range states {
		s := &ckpt.State{Latest: randomString(r), LastPreserved: randomDouble(r)}
		for range r.IntN(4) {
			s.All = append(s.All, randomString(r))
			s.Timestamps = append(s.Timestamps, randomDouble(r))
		}
		states[i] = s
	}
	return states
}

// TestStateText compares the text of random states with what TensorFlow writes
// for them, byte for byte.
func TestStateText(t *testing.T) {
	states := randomStates(500)
	asked := make([]pythonState, len(states))
	for i, s := range states {
		asked[i] = toPython(s)
	}
	var want []string
	tensorflow.Call(t, "state_text", map[string]any{"states": asked}, &want)
	for i, s := range states {
		if got := string(s.AppendText(nil)); got != want[i] {
			t.Errorf("%+v:\n got %q\nwant %q", s, got, want[i])
		}
	}
}

// TestStateParse compares what the two readers make of texts that are damaged,
// cut and put together at random.
func TestStateParse(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	names := []string{"model_checkpoint_path", "all_model_checkpoint_paths", "all_model_checkpoint_timestamps", "last_preserved_timestamp"}
	values := []string{"'a'", `"b" 'c'`, `"\x41\101\n\q"`, `"\u00e4"`, `'\U0001F600'`, `"\303\244"`, "1", "-1.5e3", "inf", "-nan", "1.5f", "1_0", "+inf", ".5", "0x1", "010",
		"[]", "['a', \"b\"]", "[1,2]", "[1,]"}
	gaps := []string{"", "", " ", "\n", "\r\n", "\t", ",", ";", "#c\n", "\u2028", "\x1c"}
	junk := append([]string{":", "[", "]", `"`, "'", `\`, "#c", "{", "}", "ä", "\x00", ".", "-", "e", "foo"}, values...)
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	var texts []string
	for _, s := range randomStates(300) {
		text := s.AppendText(nil)
		if len(text) > 0 && r.IntN(2) == 0 {
			cut := r.IntN(len(text))
			text = append(text[:cut:cut], append([]byte(pick(junk)), text[cut:]...)...)
		}
		texts = append(texts, string(text))
	}
	for range 3000 {
		var b strings.Builder
		b.WriteString("model_checkpoint_path:'x' ")
		for range 1 + r.IntN(3) {
			b.WriteString(pick(names) + pick(gaps[:6]) + ":" + pick(gaps[:6]) + pick(values) + pick(gaps))
			if r.IntN(4) == 0 {
				b.WriteString(pick(junk))
			}
		}
		texts = append(texts, b.String())
	}
	asked := make([]string, len(texts))
	for i, text := range texts {
		asked[i] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	var want []*pythonState
	tensorflow.Call(t, "parse_states", map[string]any{"texts": asked}, &want)
	accepted := 0
	for i, text := range texts {
		got, err := ckpt.ParseState([]byte(text))
		if want[i] == nil || want[i].Latest == "" {
			if err == nil {
				t.Errorf("%q: got %+v, TensorFlow refuses it", text, got)
			}
			continue
		}
		accepted++
		if err != nil {
			t.Errorf("%q: %v, TensorFlow reads %+v", text, err, want[i])
		} else if diff := cmp.Diff(got, want[i].state(t), sameStates); diff != "" {
			t.Errorf("%q: -got +want:\n%s", text, diff)
		}
	}
	if accepted < 300 || accepted > len(texts)-300 {
		t.Errorf("TensorFlow accepts %d of %d texts: the comparison says little", accepted, len(texts))
	}
}

// TestStatePaths compares the paths in a state file with TensorFlow's for
// directories and paths of every kind but those of its known defect.
func TestStatePaths(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	tensorflow.Call(t, "chdir", map[string]any{"directory": root}, nil)
	defer tensorflow.Call(t, "chdir", map[string]any{"directory": os.TempDir()}, nil)
	tests := []struct {
		dir, latest string
		all         []string
	}{
		{"train", "train/model-0", nil},
		{"train", "train/model-1", []string{"train/model-0", "train/model-1"}},
		{"train", "model-1", []string{"other/model-0"}},
		{"./rel/../rel/x/", "rel/x/ckpt-1", []string{"./rel/x/ckpt-0"}},
		{".", "ckpt-1", []string{"./ckpt-0", "a/ckpt-2"}},
		{"rel/x", "../ckpt-1", []string{"../../ckpt-0"}},
		{"../up", "../up/ckpt-1", []string{"ckpt-0"}},
		{filepath.Join(root, "abs"), filepath.Join(root, "abs", "ckpt-1"), []string{filepath.Join(root, "abs", "ckpt-0"), "ckpt-2"}},
		{filepath.Join(root, "abs"), "ckpt-1", nil},
		{filepath.Join(root, "abs"), filepath.Join(root, "else", "ckpt-1"), nil},
	}
	for _, test := range tests {
		var want string
		all := append([]string{}, test.all...)
		tensorflow.Call(t, "generate_state", map[string]any{"directory": test.dir, "latest": test.latest, "all": all}, &want)
		s, err := ckpt.NewState(test.dir, test.latest, test.all, nil, 0)
		if err != nil {
			t.Errorf("%+v: %v", test, err)
			continue
		}
		if diff := cmp.Diff(string(s.AppendText(nil)), want); diff != "" {
			t.Errorf("%+v: -got +want:\n%s", test, diff)
		}
	}
}
