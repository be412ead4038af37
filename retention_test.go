package ckpt // internal: retain is the pure part of retention and not exported.

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRetain(t *testing.T) {
	at := func(seconds ...float64) []managed {
		list := make([]managed, len(seconds))
		for i, s := range seconds {
			list[i] = managed{string(rune('a' + i)), s}
		}
		return list
	}
	for _, test := range []struct {
		name     string
		list     []managed
		policy   policy
		last     float64
		want     []action
		wantLast float64
	}{
		{"none", nil, policy{maxToKeep: 1}, 7, nil, 7},
		{"keep all", at(1, 2, 3), policy{maxToKeep: KeepAll}, 0, []action{keepManaged, keepManaged, keepManaged}, 0},
		{"as many as allowed", at(1, 2), policy{maxToKeep: 2}, 0, []action{keepManaged, keepManaged}, 0},
		{"oldest go", at(1, 2, 3, 4), policy{maxToKeep: 2}, 0, []action{remove, remove, keepManaged, keepManaged}, 0},
		{"preserve at exactly the interval", at(3600, 3601), policy{1, time.Hour}, 0, []action{preserve, keepManaged}, 3600},
		{"remove just before it", at(3599.5, 3601), policy{1, time.Hour}, 0, []action{remove, keepManaged}, 0},
		{"each preserved one starts anew", at(10000, 12000, 13600, 20000), policy{1, time.Hour}, 5000, []action{preserve, remove, preserve, keepManaged}, 13600},
		{"order is that of the list, not of time", at(9, 1), policy{maxToKeep: 1}, 0, []action{remove, keepManaged}, 0},
		{"keep all preserves none", at(1e9), policy{KeepAll, time.Hour}, 0, []action{keepManaged}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			verdicts, last := retain(test.list, test.policy, test.last)
			var got []action
			for i, v := range verdicts {
				got = append(got, v.action)
				if v.managed != test.list[i] || v.reason == "" {
					t.Errorf("verdict %d: got %+v for %+v", i, v, test.list[i])
				}
			}
			if diff := cmp.Diff(got, test.want); diff != "" || last != test.wantLast {
				t.Errorf("last preserved %v, want %v; actions (-got +want):\n%s", last, test.wantLast, diff)
			}
		})
	}
}
