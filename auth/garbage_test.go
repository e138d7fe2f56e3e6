//go:build !race

package auth

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// The race detector makes a sync.Pool lose what is put into it: this test is
// not for it.
func TestARememberedSuccessMakesNoGarbage(t *testing.T) {
	c := NewCache(trusting, CacheOptions{})
	creds := Credentials{Service: "imap", User: "alice@example.test", Password: "correct horse battery staple", Remote: home, Secure: true}
	login := func() { _, _ = c.Authenticate(context.Background(), creds) }
	login()
	require.Less(t, testing.AllocsPerRun(1000, login), 0.5, "a collection may empty the pool of hashes")
}
