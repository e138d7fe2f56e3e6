package processing

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
)

// housed says of people where they live: bob at another back end.
type housed struct{ *people }

func (h housed) Account(_ context.Context, login string) (directory.Account, error) {
	a := directory.Account{Name: login, Host: "here"}
	if login == "bob@here.test" {
		a.Host = "there"
	}
	return a, nil
}

func TestMailForAnotherBackEndIsSentOnAndTheRestDelivered(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Directory = directory.Here(housed{o.Directory.(*people)}, func(host string) bool { return host == "here" })
	})
	require.Equal(t, 250, w.handle(t, mailTo(t, "carol@far.test", "sales@here.test", "bob@here.test", "chain@here.test")).Code)
	require.Len(t, w.inbox(t, "alice@here.test"), 1)
	w.run(func() {
		require.Eventually(t, func() bool { return len(w.queued(t)) == 0 }, 20*time.Second, 5*time.Millisecond)
	})
	parcels := w.post.parcels()
	require.Len(t, parcels, 1, "bob gets it once")
	require.Equal(t, "bob@here.test", parcels[0].to)
	require.Equal(t, "here.test", parcels[0].domain)
	require.Empty(t, w.inbox(t, "bob@here.test"))
}

func TestStrangersMayNotSendToAnotherBackEnd(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Directory = directory.Here(housed{o.Directory.(*people)}, func(host string) bool { return host == "here" })
	})
	err := w.checkRecipient(context.Background(), session(), &mail.Envelope{}, &mail.Recipient{To: mail.MustParseAddress("bob@here.test")})
	require.ErrorIs(t, err, relayRefused)
}
