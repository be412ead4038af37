package ckpt

import (
	"context"
	"fmt"
	"syscall"

	"github.com/ckpt-go/ckpt/storage"
)

// checkRoom refuses a save whose values cannot fit, before anything is written.
// What the system does not say, or says wrong, the writing will find out.
func (k *cut) checkRoom(ctx context.Context, at place) error {
	s, ok := at.bucket.(storage.Spacer)
	if !ok {
		return nil
	}
	free, err := s.Free(ctx)
	if err != nil {
		return nil
	}
	if need := k.bytes(); need > free {
		return fmt.Errorf("it needs %d bytes, and there is room for %d: make room or save elsewhere; nothing was written and nothing removed: %w", need, free, syscall.ENOSPC)
	}
	return nil
}

// bytes is how many the values have.
func (k *cut) bytes() int64 {
	n := int64(len(k.graph))
	for i, shot := range k.shots {
		if s, ok := shot.(stringSnapshot); ok {
			for _, element := range s.elements {
				n += int64(len(element))
			}
			continue
		}
		elements, _ := k.items[i].spec.Shape.Elements()
		n += elements * int64(k.items[i].spec.DType.Size())
	}
	return n
}
