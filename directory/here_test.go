package directory_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
)

// housed is a book that says where accounts live.
type housed struct {
	book
	host map[string]string
}

func (h housed) Account(ctx context.Context, login string) (directory.Account, error) {
	a, err := h.book.Account(ctx, login)
	a.Host = h.host[a.Name]
	return a, err
}

func TestHereAccountsThatLiveElsewhereAreForeignAddresses(t *testing.T) {
	all := book{"example.test": "y", "alice@example.test": "alice@example.test", "bob@example.test": "bob@example.test", "robert@example.test": "bob@example.test"}
	d := directory.Here(housed{all, map[string]string{"alice@example.test": "backend1", "bob@example.test": "backend2"}},
		func(host string) bool { return host == "backend1" })
	to := func(address string) []directory.Recipient {
		found, err := d.Resolve(context.Background(), mail.MustParseAddress(address))
		require.NoError(t, err)
		return found
	}
	require.Equal(t, []directory.Recipient{{Account: "alice@example.test"}}, to("alice@example.test"))
	require.Equal(t, []directory.Recipient{{Forward: mail.MustParseAddress("bob@example.test")}}, to("robert@example.test"))
	other, ok := directory.As[directory.Elsewhere](d)
	require.True(t, ok)
	for address, elsewhere := range map[string]bool{"alice@example.test": false, "robert@example.test": true, "carol@example.test": false, "x@foreign.test": false} {
		is, err := other.Elsewhere(context.Background(), mail.MustParseAddress(address))
		require.NoError(t, err)
		require.Equal(t, elsewhere, is, address)
	}
	_, err := d.Resolve(context.Background(), mail.MustParseAddress("carol@example.test"))
	require.ErrorIs(t, err, directory.ErrUnknown)
	_, ok = directory.As[directory.Memberships](d)
	require.True(t, ok, "powers are found through it")
}

func TestHereADirectoryThatCantSayWhereSomebodyLivesIsUnavailable(t *testing.T) {
	d := directory.Here(silent{one}, func(string) bool { return true })
	_, err := d.Resolve(context.Background(), mail.MustParseAddress("alice@example.test"))
	require.ErrorIs(t, err, directory.ErrUnavailable)
	other, _ := directory.As[directory.Elsewhere](d)
	_, err = other.Elsewhere(context.Background(), mail.MustParseAddress("alice@example.test"))
	require.ErrorIs(t, err, directory.ErrUnavailable)
}

// silent resolves addresses and says nothing of accounts.
type silent struct{ book }

func (silent) Account(context.Context, string) (directory.Account, error) {
	return directory.Account{}, directory.ErrUnavailable
}
