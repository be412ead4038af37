package ckpt_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/internal/fault"
)

// sameStates compares states with nil and empty lists alike and NaN equal to
// itself.
var sameStates = cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateNaNs()}

func TestParseStateAccepts(t *testing.T) {
	latest := func(s string) *ckpt.State { return &ckpt.State{Latest: s} }
	tests := []struct {
		name, text string
		want       *ckpt.State
	}{
		{"ST-9 two lines", "model_checkpoint_path: \"c-1\"\nall_model_checkpoint_paths: \"c-1\"\n", &ckpt.State{Latest: "c-1", All: []string{"c-1"}}},
		{"ST-10 everything at once", "# made by hand\nmodel_checkpoint_path: 'a\\x41\\101'; all_model_checkpoint_paths: [\"p\", \"q\" \"r\"]\n", &ckpt.State{Latest: "aAA", All: []string{"p", "qr"}}},
		{"manager", "model_checkpoint_path: \"ckpt-1\"\nall_model_checkpoint_paths: \"ckpt-1\"\nall_model_checkpoint_timestamps: 1764946500.918807\nlast_preserved_timestamp: 1764946499.8042176\n",
			&ckpt.State{Latest: "ckpt-1", All: []string{"ckpt-1"}, Timestamps: []float64{1764946500.918807}, LastPreserved: 1764946499.8042176}},
		{"CRLF", "model_checkpoint_path: \"a\"\r\nall_model_checkpoint_paths: \"b\"\r\n", &ckpt.State{Latest: "a", All: []string{"b"}}},
		{"one line without separators", `all_model_checkpoint_paths:"b"model_checkpoint_path:"a"`, &ckpt.State{Latest: "a", All: []string{"b"}}},
		{"comma behind a field", `model_checkpoint_path: "a", last_preserved_timestamp: 1,`, &ckpt.State{Latest: "a", LastPreserved: 1}},
		{"last one wins", "model_checkpoint_path: 'a' model_checkpoint_path: 'b' last_preserved_timestamp: 1 last_preserved_timestamp: 2", &ckpt.State{Latest: "b", LastPreserved: 2}},
		{"empty list", "all_model_checkpoint_paths: [] model_checkpoint_path: 'a' all_model_checkpoint_timestamps: [1, -nan, inf]", &ckpt.State{Latest: "a", Timestamps: []float64{1, math.NaN(), math.Inf(1)}}},
		{"comments between tokens", "model_checkpoint_path#c\n:#d\n\"a\"#e\n'b'", latest("ab")},
		{"quotes inside quotes", `model_checkpoint_path: '"' "'" "\'\""`, latest(`"''"`)},
		{"control characters in a string", "model_checkpoint_path: \"a\x01\x00\x7f\r\"", latest("a\x01\x00\x7f\r")},
		{"unicode space between tokens", "model_checkpoint_path:\u2028\u00a0\u0085\x1c\"a\"\v", latest("a")},
		{"raw UTF-8", "model_checkpoint_path: \"nä\ufeff\"", latest("nä\ufeff")},
		{"octal UTF-8", `model_checkpoint_path: "n\303\244"`, latest("nä")},
		{"unicode escapes", `model_checkpoint_path: "\u00e4\U0001F600"`, latest("ä😀")},
		{"short hex and octal", `model_checkpoint_path: "\x4g\18\x4142\1"`, latest("\x04g\x018A42\x01")},
		{"one-letter escapes", `model_checkpoint_path: "\a\b\f\n\r\t\v\\"`, latest("\a\b\f\n\r\t\v\\")},
		{"unknown escapes stay", `model_checkpoint_path: "\q\?\8\ä"`, latest(`\q\?\8\ä`)},
		{"escaped backslash before u", `model_checkpoint_path: "\\u00e4"`, latest(`\u00e4`)},
		{"escaped bytes that are not UTF-8", `model_checkpoint_path: "\377"`, latest("\xff")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ckpt.ParseState([]byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, test.want, sameStates); diff != "" {
				t.Errorf("-got +want:\n%s", diff)
			}
		})
	}
}

func TestParseStateNumbers(t *testing.T) {
	inf := math.Inf(1)
	accepted := map[string]float64{
		"1": 1, "-1": -1, "+1": 1, "1.": 1, ".5": .5, "-.5": -.5, "1e3": 1000, "1E3": 1000, "1e+3": 1000, "1e-3": .001, "1.e5": 1e5,
		"1.5f": 1.5, "1F": 1, "1.5ff": 1.5, "1e5f": 1e5, "1.f": 1, ".5f": .5, "0": 0, "+010": 10, "0_1": 1,
		"inf": inf, "-inf": -inf, "+inf": inf, "INF": inf, "Infinity": inf, "-infinity": -inf, "inff": inf, "-inff": -inf, "infinityf": inf,
		"1e400": inf, "-1e400": -inf, "1e-400": 0, "1_000": 1000, "0.1_1": .11, "1e1_0": 1e10, "18446744073709551616": 18446744073709551616,
	}
	for text, want := range accepted {
		s, err := ckpt.ParseState([]byte("model_checkpoint_path:'a' last_preserved_timestamp: " + text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if s.LastPreserved != want {
			t.Errorf("%s: got %v, want %v", text, s.LastPreserved, want)
		}
	}
	for _, text := range []string{"nan", "NaN", "-nan", "+nan", "nanf", "-nanf"} {
		s, err := ckpt.ParseState([]byte("model_checkpoint_path:'a' last_preserved_timestamp: " + text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if !math.IsNaN(s.LastPreserved) {
			t.Errorf("%s: got %v, want NaN", text, s.LastPreserved)
		}
	}
	for _, text := range []string{"", "1e", "0x10", "-0x1", "0x1p3", "0b1", "0o17", "010", "-08", "00", "000.5", "-", "- 1", "--1", "1-2", "1.2.3",
		"..5", "true", "1d", "1l", "1__0", "_1", "1_", "1e_5", "-.inf", "+inff", "infin", "'1'", "1 2"} {
		if s, err := ckpt.ParseState([]byte("model_checkpoint_path:'a' last_preserved_timestamp: " + text)); err == nil {
			t.Errorf("%q: got %v, want an error", text, s.LastPreserved)
		}
	}
}

func TestParseStateRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"ST-6 empty", "", "invalid checkpoint state"},
		{"ST-6 blank", " \r\n\t# nothing\n", "invalid checkpoint state"},
		{"ST-6 empty path", `model_checkpoint_path: "" all_model_checkpoint_paths: "a"`, "invalid checkpoint state"},
		{"ST-6 no path", `all_model_checkpoint_paths: "a"`, "invalid checkpoint state"},
		{"ST-11 garbage", "garbage {", `line 1: no field of a checkpoint state: "garbage"`},
		{"unknown field", "model_checkpoint_path: 'a'\n\nmodel: 1", "line 3"},
		{"field of another case", "MODEL_CHECKPOINT_PATH: 'a'", "line 1"},
		{"field number", "1: 'a'", "line 1"},
		{"missing colon", "model_checkpoint_path 'a'", "expected ':'"},
		{"scalar in brackets", "model_checkpoint_path: ['a']", "expected a string"},
		{"braces", "{model_checkpoint_path: 'a'}", "line 1"},
		{"unterminated string", "\nmodel_checkpoint_path: \"a", "line 2: string without its ending quote"},
		{"raw newline in a string", "model_checkpoint_path: \"a\nb\"", "line 1: string without its ending quote"},
		{"backslash before a newline", "model_checkpoint_path: \"a\\\n\"", "string without its ending quote"},
		{"only a quote", "model_checkpoint_path: '", "string without its ending quote"},
		{"escaped ending quote", `model_checkpoint_path: "a\"`, "string"},
		{"number for a string", "model_checkpoint_path: 1", "expected a string"},
		{"two separators", "model_checkpoint_path: 'a';;", "line 1"},
		{"open list", "model_checkpoint_path: 'a' all_model_checkpoint_paths: ['b'", "found the end of the text"},
		{"comma before the end of a list", "all_model_checkpoint_paths: ['b',]", "expected a string"},
		{"NUL", "model_checkpoint_path: 'a'\x00", "line 1"},
		{"byte order mark", "\ufeffmodel_checkpoint_path: 'a'", "line 1"},
		{"not UTF-8", "# ok\nmodel_checkpoint_path: '\xff'", "line 2: text is not UTF-8"},
		{"octal beyond a byte", `model_checkpoint_path: "\400"`, "more than one byte"},
		{"hex without digits", `model_checkpoint_path: "\xg"`, "without digits"},
		{"surrogate", `model_checkpoint_path: "\ud83d\ude00"`, "no character"},
		{"beyond unicode", `model_checkpoint_path: "\U00110000"`, "no character"},
		{"short unicode escape", `model_checkpoint_path: "\u12"`, "fewer than 4"},
		{"character name", `model_checkpoint_path: "\N{BULLET}"`, "not supported"},
		{"extension", "[a.b]: 1", "line 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ckpt.ParseState([]byte(test.text))
			if err == nil {
				t.Fatalf("got %+v, want an error", got)
			}
			var corrupt *fault.CorruptError
			if !errors.As(err, &corrupt) || corrupt.Kind != fault.KindState || !errors.Is(err, fault.ErrCorrupt) {
				t.Errorf("got %#v, want a CorruptError of kind state", err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want it to contain %q", err, test.want)
			}
		})
	}
}

func TestStateAppendText(t *testing.T) {
	tests := []struct {
		name  string
		state ckpt.State
		want  string
	}{
		{"ST-1 absolute", ckpt.State{Latest: "/tmp/dir/model-0", All: []string{"/tmp/dir/model-0"}}, "model_checkpoint_path: \"/tmp/dir/model-0\"\nall_model_checkpoint_paths: \"/tmp/dir/model-0\"\n"},
		{"nothing", ckpt.State{}, ""},
		{"all fields", ckpt.State{Latest: "b", All: []string{"a", "b"}, Timestamps: []float64{0, 1}, LastPreserved: -1.5},
			"model_checkpoint_path: \"b\"\nall_model_checkpoint_paths: \"a\"\nall_model_checkpoint_paths: \"b\"\nall_model_checkpoint_timestamps: 0.0\nall_model_checkpoint_timestamps: 1.0\nlast_preserved_timestamp: -1.5\n"},
		{"escapes", ckpt.State{Latest: "\n\r\t\"'\\\x01\x7f\x00ä\u0085\xff\ufffd"}, `model_checkpoint_path: "\n\r\t\"\'\\\001\177\000ä` + "\u0085" + `\377` + "\ufffd\"\n"},
		{"doubles", ckpt.State{Timestamps: []float64{1e-4, 1e-5, 1e15, 1e16, 9999999999999998, 1.2345678901234568e17, 5e-324, math.Inf(1), math.Inf(-1), math.NaN(), math.Copysign(0, -1), 1764946500.918807}},
			"all_model_checkpoint_timestamps: " + strings.Join([]string{"0.0001", "1e-05", "1000000000000000.0", "1e+16", "9999999999999998.0", "1.2345678901234568e+17", "5e-324", "inf", "-inf", "nan", "-0.0", "1764946500.918807"}, "\nall_model_checkpoint_timestamps: ") + "\n"},
		{"minus zero is not unset", ckpt.State{LastPreserved: math.Copysign(0, -1)}, "last_preserved_timestamp: -0.0\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(string(test.state.AppendText(nil)), test.want); diff != "" {
				t.Errorf("-got +want:\n%s", diff)
			}
		})
	}
}

func TestNewState(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	in := func(elements ...string) string { return filepath.Join(append([]string{root}, elements...)...) }
	tests := []struct {
		name, dir, latest string
		all               []string
		want              string
		wantAll           []string
	}{
		{"ST-2", "train", "train/model-0", []string{"train/model-0"}, "model-0", []string{"model-0"}},
		{"ST-3 nil", in("a", "b"), in("a", "b", "model-0"), nil, "model-0", []string{"model-0"}},
		{"ST-3 empty", in("a", "b"), in("a", "b", "model-0"), []string{}, "model-0", []string{"model-0"}},
		{"ST-3 another", in("a", "b"), in("a", "b", "model-0"), []string{"model-2"}, "model-0", []string{"model-2", "model-0"}},
		{"ST-5", in("train"), in("train", "model-2"), []string{"model-0", in("train", "model-2")}, "model-2", []string{"model-0", "model-2"}},
		{"latest in the middle", in("d"), in("d", "c-1"), []string{"c-1", "c-2"}, "c-1", []string{"c-1", "c-2", "c-1"}},
		{"working directory", ".", "ckpt-1", nil, "ckpt-1", []string{"ckpt-1"}},
		{"empty directory", "", "ckpt-1", nil, "ckpt-1", []string{"ckpt-1"}},
		{"odd spelling", "./rel/../rel/x/", "rel/x/./ckpt-1", nil, "ckpt-1", []string{"ckpt-1"}},
		{"elsewhere", "rel/x", "other/y", nil, "../../other/y", []string{"../../other/y"}},
		{"deeper", "rel", "rel/x/ckpt-1", nil, "x/ckpt-1", []string{"x/ckpt-1"}},
		{"above the working directory", "../up", "../up/ckpt-1", nil, "ckpt-1", []string{"ckpt-1"}},
		{"out of a directory above", "../up", "ckpt-1", nil, "../" + filepath.Base(root) + "/ckpt-1", []string{"../" + filepath.Base(root) + "/ckpt-1"}},
		{"absolute path in a relative directory", "rel", in("rel", "ckpt-1"), []string{in("rel", "ckpt-0"), "rel/ckpt-1"}, "ckpt-1", []string{"ckpt-0", "ckpt-1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ckpt.NewState(test.dir, test.latest, test.all, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			want := &ckpt.State{Latest: test.want, All: test.wantAll}
			if diff := cmp.Diff(got, want, sameStates); diff != "" {
				t.Errorf("-got +want:\n%s", diff)
			}
		})
	}
}

func TestNewStateRefuses(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	tests := []struct {
		name, dir, latest string
		all               []string
		timestamps        []float64
		want              string
	}{
		{"ST-7 same spelling", "train", "train/checkpoint", nil, nil, "conflicts with path used for checkpoint state"},
		{"ST-7 another spelling", "./train", "train/../train/checkpoint", nil, nil, "conflicts with path used for checkpoint state"},
		{"ST-7 absolute", "train", filepath.Join(root, "train", "checkpoint"), nil, nil, "conflicts with path used for checkpoint state"},
		{"ST-7 empty directory", "", "checkpoint", nil, nil, "conflicts with path used for checkpoint state"},
		{"no latest", "train", "", []string{"a"}, nil, "latest"},
		{"empty path", "train", "train/a", []string{""}, nil, "empty"},
		{"too few timestamps", "train", "train/a", []string{"train/b", "train/a"}, []float64{1}, "1 timestamps for 2 paths"},
		{"latest without its timestamp", "train", "train/a", []string{"train/b"}, []float64{1}, "1 timestamps for 2 paths"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ckpt.NewState(test.dir, test.latest, test.all, test.timestamps, 0)
			if err == nil {
				t.Fatalf("got %+v, want an error", got)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want it to contain %q", err, test.want)
			}
		})
	}
	if _, err := ckpt.NewState("train", "train/checkpoint-1", nil, nil, 0); err != nil {
		t.Errorf("a checkpoint beside the state file: %v", err)
	}
}

func TestNewStateKeepsNoArguments(t *testing.T) {
	all, timestamps := []string{"d/a", "d/b"}, []float64{1, 2}
	s, err := ckpt.NewState("d", "d/b", all, timestamps, 3)
	if err != nil {
		t.Fatal(err)
	}
	all[0], timestamps[0] = "changed", 9
	want := &ckpt.State{Latest: "b", All: []string{"a", "b"}, Timestamps: []float64{1, 2}, LastPreserved: 3}
	if diff := cmp.Diff(s, want); diff != "" {
		t.Errorf("-got +want:\n%s", diff)
	}
}

// TestParseStateMemory measures the bound that ParseState states, on the texts
// that make the most of each byte.
func TestParseStateMemory(t *testing.T) {
	for _, unit := range []string{"all_model_checkpoint_paths:''", "'',", "0,", `"" `, `\`, `\q`, "model_checkpoint_path:'a'", "#", "\n", "["} {
		for _, open := range []string{"", "all_model_checkpoint_paths:[", "all_model_checkpoint_timestamps:[", "model_checkpoint_path:'"} {
			text := []byte(open + strings.Repeat(unit, (4<<20)/len(unit)))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := ckpt.ParseState(text)
			runtime.ReadMemStats(&after)
			if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(64*len(text)+1<<20); got > limit {
				t.Errorf("%q, then %q…: %d bytes allocated, want at most %d (%v)", open, unit, got, limit, err)
			}
		}
	}
}

// goldenStates returns the state files in testdata.
func goldenStates(t testing.TB) (texts []string) {
	t.Helper()
	err := filepath.WalkDir("testdata", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != "checkpoint" {
			return err
		}
		text, err := os.ReadFile(name)
		texts = append(texts, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(texts) < 10 {
		t.Fatalf("only %d state files in testdata", len(texts))
	}
	return texts
}

// FuzzReadState looks for texts that are not of the class corrupt when they are
// refused, that do not survive writing, or whose writing is not settled.
func FuzzReadState(f *testing.F) {
	f.Add("model_checkpoint_path: \"ckpt-1\"\nall_model_checkpoint_paths: \"ckpt-1\"\nall_model_checkpoint_timestamps: 1764946500.918807\nlast_preserved_timestamp: 1764946499.8042176\n")
	f.Add("# c\nmodel_checkpoint_path: 'a\\x41\\101\\u00e4\\377'; all_model_checkpoint_paths: [\"p\", \"q\" \"r\"],")
	f.Add("all_model_checkpoint_timestamps: [1e3, -nan, inf, 1.5f, 1_0] model_checkpoint_path:\"\\q\\\\\"")
	f.Add("model_checkpoint_path: \"a\nb\"")
	for _, text := range goldenStates(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, err := ckpt.ParseState([]byte(text))
		if err != nil {
			if !errors.Is(err, fault.ErrCorrupt) {
				t.Fatalf("got %v, want it to be of the class corrupt", err)
			}
			return
		}
		encoded := first.AppendText(nil)
		second, err := ckpt.ParseState(encoded)
		if err != nil {
			t.Fatalf("%q was written as %q: %v", text, encoded, err)
		}
		if diff := cmp.Diff(second, first, sameStates); diff != "" {
			t.Errorf("%q was written as %q: -got +want:\n%s", text, encoded, diff)
		}
		if again := second.AppendText([]byte("x")); string(again) != "x"+string(encoded) {
			t.Errorf("written as %q, then as %q", encoded, again)
		}
		// A comment and white space around change nothing.
		third, err := ckpt.ParseState([]byte("# before\n\t" + text + "\n # behind"))
		if err != nil || !cmp.Equal(third, first, sameStates) {
			t.Errorf("%q between comments: got %+v, %v, want %+v", text, third, err, first)
		}
	})
}
