package proxy

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mapping"
)

// listenForReferrals listens, and returns the way there.
func listenForReferrals(t *testing.T) mapping.Route {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return mapping.Route{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, TLS: mapping.TLSNone}
}

// TestP28ReferralsAreFollowedTwiceAndNeverBack goes from one back end to the
// next as a login would.
func TestP28ReferralsAreFollowedTwiceAndNeverBack(t *testing.T) {
	a, b, c, d := listenForReferrals(t), listenForReferrals(t), listenForReferrals(t), listenForReferrals(t)
	f := &Front{Mapper: mapping.Static(a), Referrals: func(_, to mapping.Route) bool { return to.Host == "127.0.0.1" }}
	reach := func(follow ...mapping.Route) (l *Link, err error) {
		l, err = f.Reach(t.Context(), "alice", Client{Protocol: IMAP})
		require.NoError(t, err)
		for _, to := range follow {
			if l, err = f.Refer(t.Context(), l, to); err != nil {
				return nil, err
			}
		}
		t.Cleanup(func() { l.Close() })
		return l, nil
	}
	l, err := reach(b, c)
	require.NoError(t, err)
	require.Equal(t, c, l.Route(), "with the TLS mode that holds")
	require.Equal(t, "alice", l.User())
	renamed := b
	renamed.User = "alice2"
	l, err = reach(renamed, c)
	require.NoError(t, err)
	require.Equal(t, "alice2", l.User(), "a name that a back end gives stays")
	_, err = reach(b, c, d)
	require.ErrorIs(t, err, ErrLoop)
	_, err = reach(b, a)
	require.ErrorIs(t, err, ErrLoop)
	_, err = reach(a)
	require.ErrorIs(t, err, ErrLoop)
	_, err = reach(mapping.Route{Host: "elsewhere.example"})
	require.ErrorIs(t, err, ErrUnavailable)
	_, err = reach(mapping.Route{Host: "a b"})
	require.ErrorIs(t, err, ErrUnavailable)
	f.Referrals = nil
	_, err = reach(b)
	require.ErrorIs(t, err, ErrUnavailable)
}
