package cli

import (
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// TestOverlapBetweenSlices has the slices of two tensors lie in each other, so that
// neighbours are of one tensor.
func TestOverlapBetweenSlices(t *testing.T) {
	slices := func(offset int64) []ckpt.SliceInfo {
		return []ckpt.SliceInfo{{Offset: offset, Bytes: 100}, {Offset: offset + 1, Bytes: 1}}
	}
	for name, test := range map[string]struct {
		vars []ckpt.VariableInfo
		want string
	}{
		"in each other":     {[]ckpt.VariableInfo{{Name: "a", Slices: slices(0)}, {Name: "b", Slices: slices(2)}}, "also those of tensor a"},
		"of one tensor":     {[]ckpt.VariableInfo{{Name: "a", Slices: slices(0)}}, ""},
		"behind each other": {[]ckpt.VariableInfo{{Name: "a", Slices: slices(0)}, {Name: "b", Slices: slices(100)}}, ""},
		"in other files":    {[]ckpt.VariableInfo{{Name: "a", Shard: 0, Bytes: 9}, {Name: "b", Shard: 1, Bytes: 9}}, ""},
	} {
		err := checkOverlap("p", test.vars)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
