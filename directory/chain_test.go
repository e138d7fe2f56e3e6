package directory_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
)

// book is a directory in a map: of addresses to accounts, and of domains to
// themselves. A nil book can't answer.
type book map[string]string

func (b book) Resolve(_ context.Context, a mail.Address) ([]directory.Recipient, error) {
	switch {
	case b == nil:
		return nil, directory.ErrUnavailable
	case b[mail.DomainKey(a.Domain())] == "":
		return nil, directory.ErrNotLocal
	case b[a.Key()] == "":
		return nil, directory.ErrUnknown
	}
	return []directory.Recipient{{Account: b[a.Key()]}}, nil
}

func (b book) Local(_ context.Context, domain string) (bool, error) {
	if b == nil {
		return false, directory.ErrUnavailable
	}
	return b[domain] != "", nil
}

func (b book) Account(_ context.Context, login string) (directory.Account, error) {
	switch {
	case b == nil:
		return directory.Account{}, directory.ErrUnavailable
	case b[login] == "":
		return directory.Account{}, directory.ErrUnknown
	}
	return directory.Account{Name: b[login]}, nil
}

func (b book) GroupsOf(_ context.Context, account string) ([]string, error) {
	switch {
	case b == nil:
		return nil, directory.ErrUnavailable
	case b[account] == "":
		return nil, directory.ErrUnknown
	}
	return []string{b["group"], "everybody"}, nil
}

func TestAChainKnowsWhoLivesElsewhere(t *testing.T) {
	ctx, bob := context.Background(), mail.MustParseAddress("bob@example.test")
	shared := directory.Here(housed{two, map[string]string{"bob@example.test": "backend2"}}, func(host string) bool { return host == "backend1" })
	elsewhere := func(a mail.Address, all ...directory.Directory) (bool, error) {
		e, ok := directory.As[directory.Elsewhere](directory.Chain(all...))
		require.True(t, ok)
		return e.Elsewhere(ctx, a)
	}
	for name, c := range map[string]struct {
		address   string
		elsewhere bool
	}{
		"of another back end":          {"bob@example.test", true},
		"of the first directory":       {"alice@example.test", false},
		"nobody":                       {"carol@example.test", false},
		"in another domain altogether": {"bob@far.test", false},
	} {
		is, err := elsewhere(mail.MustParseAddress(c.address), one, shared)
		require.NoError(t, err, name)
		require.Equal(t, c.elsewhere, is, name)
	}
	_, err := elsewhere(bob, one, book(nil), shared)
	require.ErrorIs(t, err, directory.ErrUnavailable)
	is, err := elsewhere(bob, two, shared)
	require.NoError(t, err)
	require.False(t, is, "a directory without the power has its accounts here")
}

var (
	one = book{"example.test": "y", "alice@example.test": "alice@example.test", "group": "staff"}
	two = book{"example.test": "y", "other.test": "y", "alice@example.test": "wrong", "bob@example.test": "bob@example.test", "group": "cooks"}
)

func TestAChainAsksInOrder(t *testing.T) {
	c := directory.Chain(one, two)
	for address, want := range map[string]string{"alice@example.test": "alice@example.test", "bob@example.test": "bob@example.test"} {
		found, err := c.Resolve(t.Context(), mail.MustParseAddress(address))
		require.NoError(t, err)
		require.Equal(t, []directory.Recipient{{Account: want}}, found)
		accounts, _ := directory.As[directory.Accounts](c)
		a, err := accounts.Account(t.Context(), address)
		require.NoError(t, err)
		require.Equal(t, want, a.Name)
	}
	for address, want := range map[string]error{
		"nobody@example.test": directory.ErrUnknown, "nobody@other.test": directory.ErrUnknown, "nobody@foreign.test": directory.ErrNotLocal,
	} {
		_, err := c.Resolve(t.Context(), mail.MustParseAddress(address))
		require.ErrorIs(t, err, want)
	}
	for domain, want := range map[string]bool{"example.test": true, "other.test": true, "foreign.test": false} {
		local, err := c.Local(t.Context(), domain)
		require.NoError(t, err)
		require.Equal(t, want, local)
	}
}

func TestADirectoryThatCantAnswerEndsAChain(t *testing.T) {
	c := directory.Chain(one, book(nil), two)
	_, err := c.Resolve(t.Context(), mail.MustParseAddress("alice@example.test"))
	require.NoError(t, err, "who is known before is known")
	_, err = c.Resolve(t.Context(), mail.MustParseAddress("bob@example.test"))
	require.ErrorIs(t, err, directory.ErrUnavailable)
	_, err = c.Local(t.Context(), "other.test")
	require.ErrorIs(t, err, directory.ErrUnavailable)
	accounts, _ := directory.As[directory.Accounts](c)
	_, err = accounts.Account(t.Context(), "bob@example.test")
	require.ErrorIs(t, err, directory.ErrUnavailable)
	m, _ := directory.As[directory.Memberships](c)
	_, err = m.GroupsOf(t.Context(), "alice@example.test")
	require.ErrorIs(t, err, directory.ErrUnavailable)
}

func TestAChainKnowsTheGroupsOfAll(t *testing.T) {
	m, _ := directory.As[directory.Memberships](directory.Chain(one, two))
	groups, err := m.GroupsOf(t.Context(), "alice@example.test")
	require.NoError(t, err)
	require.Equal(t, []string{"cooks", "everybody", "staff"}, groups)
	_, err = m.GroupsOf(t.Context(), "nobody@example.test")
	require.ErrorIs(t, err, directory.ErrUnknown)
}
