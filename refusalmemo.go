package ckpt

import (
	"context"
	"time"
)

// knownDamage is what Resume found wrong with a checkpoint, so that it need not be
// read again while its files are the same.
type knownDamage struct {
	mark    fingerprint
	problem *CorruptError
	touched []read // values that reading it left unusable, until a restore succeeds
}

// settling is how old files must be to be recognised: time stamps, and the clocks they
// come from, are only so exact, and what was written a moment ago may be written again
// without another time telling.
const settling = 2 * time.Second

// settledMark is the fingerprint of a checkpoint's files, "" where it does not tell
// them from what they may become.
func settledMark(ctx context.Context, at place) fingerprint {
	mark, newest, err := fingerprintAndTime(ctx, at, true)
	if err != nil || mark == unmarked || time.Since(newest) < settling {
		return ""
	}
	return mark
}

// known is the damage of a checkpoint that has the files it had when it was read.
func (m *Manager) known(at place, mark fingerprint) (d knownDamage, ok bool) {
	d, ok = m.damage[at.identityOf()]
	return d, ok && mark != "" && d.mark == mark
}

// remember notes what is wrong with a checkpoint whose files had this mark before they
// were read, and have it now. Only what its bytes alone decide is remembered.
func (m *Manager) remember(ctx context.Context, at place, d knownDamage) {
	switch d.problem.Kind {
	case KindChecksum, KindTruncated, KindFormat, KindEntry, KindOverlap:
	default:
		return
	}
	if d.mark == "" || settledMark(ctx, at) != d.mark {
		return
	}
	if m.damage == nil {
		m.damage = make(map[any]knownDamage)
	}
	m.damage[at.identityOf()] = d
}

// whole notes that no object holds values of a damaged checkpoint any more.
func (m *Manager) whole() {
	for id, d := range m.damage {
		d.touched = nil
		m.damage[id] = d
	}
}
