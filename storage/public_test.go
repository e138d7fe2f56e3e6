package storage

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// named is a Store that has every account.
type named struct{ Store }

func (named) Account(context.Context, string) (Account, error) { return nil, nil }

func TestNobodyOwnsPublicFolders(t *testing.T) {
	for _, user := range []string{PublicAccount("example.test"), "@x", "@alice@example.test"} {
		require.True(t, IsPublic(user))
		_, err := UserAccount(t.Context(), named{}, user)
		require.ErrorIs(t, err, ErrBadName, user)
	}
	for _, user := range []string{"alice", "alice@example.test", "a@@b", "@", ""} {
		require.False(t, IsPublic(user))
		_, err := UserAccount(t.Context(), named{}, user)
		require.NoError(t, err, user)
	}
	require.Equal(t, "example.test", Domain(PublicAccount("example.test")))
}
