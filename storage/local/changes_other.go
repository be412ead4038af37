//go:build !linux

package local

import "errors"

// Changes implements storage.Notifier. It is errors.ErrUnsupported on this system.
func (b *Bucket) Changes(string) (changed <-chan struct{}, stop func(), err error) {
	return nil, nil, errors.ErrUnsupported
}
