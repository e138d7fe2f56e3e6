package storage

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKindsHaveNames(t *testing.T) {
	for k := Mail; k <= Journal; k++ {
		text, err := k.MarshalText()
		require.NoError(t, err)
		var again Kind
		require.NoError(t, again.UnmarshalText(text))
		require.Equal(t, k, again)
	}
	_, err := Kind(0).MarshalText()
	require.ErrorIs(t, err, ErrBadKind)
	require.Equal(t, "kind(0)", Kind(0).String())
	require.Equal(t, "kind(7)", Kind(7).String())
	for _, name := range []string{"", "Mail", "mails", "\x00"} {
		k := Tasks
		require.ErrorIs(t, k.UnmarshalText([]byte(name)), ErrBadKind, name)
		require.Equal(t, Tasks, k)
	}
}

func TestKindsUnderParents(t *testing.T) {
	for _, c := range []struct{ k, parent, want Kind }{
		{0, 0, Mail}, {0, Tasks, Tasks}, {Notes, 0, Notes}, {Notes, Notes, Notes}, {Mail, Mail, Mail},
	} {
		got, err := c.k.Under(c.parent)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	for _, c := range []struct{ k, parent Kind }{{Notes, Mail}, {Mail, Notes}, {7, 0}, {7, Mail}, {255, 0}} {
		_, err := c.k.Under(c.parent)
		require.ErrorIs(t, err, ErrBadKind)
	}
}

func TestDefaultsThatCannotAllBeMadeAreRefused(t *testing.T) {
	require.NoError(t, CheckDefaults(Defaults()))
	require.NoError(t, CheckDefaults(nil))
	require.NoError(t, CheckDefaults([]Default{{Name: "inbox"}, {Name: "Calendar/Work", Kind: Calendar}, {Name: "Calendar"}, {Name: "Calendar/Home"}, {Name: "INBOX/x", Kind: Mail}}))
	for _, c := range []struct {
		defaults []Default
		want     error
	}{
		{[]Default{{Name: "a//b"}}, ErrBadName},
		{[]Default{{Name: "a", Kind: 9}}, ErrBadKind},
		{[]Default{{Name: "inbox", Kind: Calendar}}, ErrBadKind},
		{[]Default{{Name: "INBOX/c", Kind: Calendar}}, ErrBadKind},
		{[]Default{{Name: "a/b/c", Kind: Calendar}, {Name: "a/x", Kind: Mail}}, ErrBadKind},
		{[]Default{{Name: "a/b", Kind: Calendar}, {Name: "a", Kind: Contacts}}, ErrBadKind},
	} {
		require.ErrorIs(t, CheckDefaults(c.defaults), c.want, "%v", c.defaults)
	}
}
