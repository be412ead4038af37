package ckpt_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// Why nobody can notice that a bit of a state file changed. The reasons are
// those of docs/verify.md.
const (
	mustBeNoticed = ""
	anotherPath   = "path"
	anotherTime   = "time stamp"
)

// stateRegions says for each byte of a state file as TensorFlow writes it, a
// field with its value on each line, which change of it may go unnoticed.
func stateRegions(t *testing.T, text string) []string {
	t.Helper()
	var regions []string
	fill := func(n int, reason string) { regions = append(regions, slices.Repeat([]string{reason}, n)...) }
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok || !strings.HasSuffix(line, "\n") {
			t.Fatalf("line %q is none of a state file", line)
		}
		fill(len(name)+len(": "), mustBeNoticed)
		if strings.HasPrefix(value, `"`) {
			fill(1, mustBeNoticed)
			fill(len(value)-2, anotherPath)
			fill(1, mustBeNoticed)
		} else {
			fill(len(value), anotherTime)
		}
		fill(len("\n"), mustBeNoticed)
	}
	return regions
}

// unnoticed says why a changed state is not noticed: what it differs in from the
// state before.
func unnoticed(t *testing.T, good, bad string, b storage.Bucket) string {
	t.Helper()
	was, err := ckpt.ParseState([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	is, err := ckpt.ParseState([]byte(bad))
	if err != nil {
		t.Fatal(err)
	}
	times := cmpopts.IgnoreFields(ckpt.State{}, "Timestamps", "LastPreserved")
	if cmp.Equal(was, is, times) && len(was.Timestamps) == len(is.Timestamps) {
		return anotherTime // or the same in other digits
	}
	for _, path := range append(is.All, is.Latest) {
		if _, err := contents(t, b, "d/"+path); err != nil {
			t.Errorf("a path of the state leads nowhere: %v", err)
		}
	}
	return anotherPath
}

// TestFlipsOfState flips each bit of the state files: verify reports it, or the
// text cannot be told from one that was meant so. The latest checkpoint is then
// always one of those that are there.
func TestFlipsOfState(t *testing.T) {
	skipWithRaceDetector(t)
	for _, c := range flipCases {
		t.Run(c.name, func(t *testing.T) {
			b, _ := c.load(t)
			good := storagetest.Get(t, b, "d/checkpoint")
			regions := stateRegions(t, good)
			known := append([]string{c.prefix}, c.others...)
			unseen := map[string]int{}
			bits := eachFlip(t, b, "d/checkpoint", func(offset int, bit uint, bad string) {
				problems := verifyDir(t, b)
				latest, err := ckpt.Latest(t.Context(), "d", &ckpt.FindOptions{Bucket: b})
				if err == nil && !slices.Contains(known, strings.TrimPrefix(latest, "d/")) {
					t.Errorf("byte %d, bit %d: the latest is %s", offset, bit, latest)
				}
				if len(problems) > 0 {
					return
				}
				why := unnoticed(t, good, bad, b)
				if unseen[why]++; why != regions[offset] {
					t.Errorf("byte %d, bit %d: not noticed, and differs in its %s: %q", offset, bit, why, bad)
				}
			})
			total := unseen[anotherPath] + unseen[anotherTime]
			note := "0"
			if total > 0 {
				note = fmt.Sprintf("%d: %d time stamp, %d path", total, unseen[anotherTime], unseen[anotherPath])
			}
			wantRow(t, c.name, "`checkpoint`", bits, bits-total, 0, note)
		})
	}
}
