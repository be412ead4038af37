package ckpt

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/internal/fault"
)

// count says how many: "1 object", "3 objects".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// nearest gives up to three of names that look like name: for "did you mean".
func nearest(name string, names []string) []string {
	type scored struct {
		name  string
		score int
	}
	budget := 50_000_000 // steps: a checkpoint may have very many, very long names
	var near []scored
	for _, n := range names {
		// A variable asked for by its path alone is the likeliest slip.
		if len(name) > 0 && strings.HasPrefix(n, name+"/.ATTRIBUTES/") {
			near = append(near, scored{n, -1})
		}
	}
	for _, n := range names {
		limit := 2 + min(len(name), len(n))/3
		if max(len(name)-len(n), len(n)-len(name)) > limit {
			continue
		}
		if budget -= len(name) * len(n); budget < 0 {
			break
		}
		if d := distance(name, n); d <= limit {
			near = append(near, scored{n, d})
		}
	}
	slices.SortStableFunc(near, func(a, b scored) int { return cmp.Compare(a.score, b.score) })
	var out []string
	for i := 0; i < len(near) && i < 3; i++ {
		out = append(out, near[i].name)
	}
	return out
}

// proposed joins names from a file for a person to choose of.
func proposed(names []string) string {
	shown := make([]string, len(names))
	for i, name := range names {
		shown[i] = fault.Printable(name)
	}
	return strings.Join(shown, " or ")
}

// distance is the Levenshtein distance of two short names, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := diagonal
			if a[i-1] != b[j-1] {
				replace++
			}
			diagonal = row[j]
			row[j] = min(replace, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
