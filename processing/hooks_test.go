package processing

import (
	"context"
	"net/netip"
	"testing"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/smtp"
	"github.com/posthouse-mail/posthouse/storage"
	memorystore "github.com/posthouse-mail/posthouse/storage/memory"
)

// rcpt asks the policy about one recipient. An address that is none is
// refused before: by the engine, with 501.
func (w *world) rcpt(s *smtp.Session, to string) int {
	a, err := mail.ParseAddress(to)
	if err != nil {
		return 501
	}
	return code(w.Hooks().Rcpt(context.Background(), s, &mail.Envelope{}, &mail.Recipient{To: a}))
}

func code(err error) int {
	if err == nil {
		return 250
	}
	return mail.AsReply(err).Code
}

func from(addr, user string) *smtp.Session {
	return &smtp.Session{Remote: netip.MustParseAddrPort(addr), User: user}
}

func TestRelayMatrix(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	})
	stranger, user := from("192.0.2.1:1", ""), from("192.0.2.1:1", "alice@here.test")
	trusted, trusted6, mapped := from("10.1.2.3:1", ""), from("[2001:db8::1]:1", ""), from("[::ffff:10.1.2.3]:1", "")
	for _, c := range []struct {
		to                   string
		stranger, authorized int
	}{
		{"alice@here.test", 250, 250},
		{"ALICE@HERE.TEST", 250, 250},
		{"alice@here.test.", 250, 250},
		{"postmaster", 250, 250},
		{"b@bücher.test", 250, 250},
		{"b@xn--bcher-kva.test", 250, 250},
		{"gone@here.test", 550, 550},
		{"x@far.test", 550, 250},
		{"x@[192.0.2.7]", 550, 250},
		{"x@sub.here.test", 550, 250},
	} {
		require.Equal(t, c.stranger, w.rcpt(stranger, c.to), "a stranger to %s", c.to)
		for _, s := range []*smtp.Session{user, trusted, trusted6, mapped} {
			require.Equal(t, c.authorized, w.rcpt(s, c.to), "%v %q to %s", s.Remote, s.User, c.to)
		}
	}
}

func TestS19ClientsOfAFrontEndRelayByTheirOwnAddress(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	frontEnd := netip.MustParseAddrPort("10.0.0.1:1")
	untold, stranger, own := &smtp.Session{Front: frontEnd}, from("192.0.2.1:1", ""), from("10.1.2.3:1", "")
	stranger.Front, own.Front = frontEnd, frontEnd
	require.Equal(t, 550, w.rcpt(untold, "x@far.test"))
	require.Equal(t, 550, w.rcpt(stranger, "x@far.test"))
	require.Equal(t, 250, w.rcpt(own, "x@far.test"))
}

func TestS18RelayTricksAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	stranger := from("192.0.2.1:1", "")
	for _, to := range []string{
		"user@foreign.test",
		"user%foreign.test@here.test",
		"foreign.test!user@here.test",
		"@here.test:user@foreign.test",
		`"user@foreign.test"@here.test`,
		`"user%foreign.test"@here.test`,
		`"foreign.test!user"@here.test`,
		`"alice@here.test"@foreign.test`,
		"user@foreign.test@here.test",
		"alice@here.test@foreign.test",
		"alice%here.test@foreign.test",
		"user@foreign.test.",
		"user@[127.0.0.1]",
		"user@[192.0.2.9]",
		"user@[IPv6:::1]",
		"alice@hеre.test", // a Cyrillic letter
		"alice@here.tеst",
		"alice@xn--hre-bed.test",
		"alice@here.test.foreign.test",
		"alice@foreign.test#here.test",
		"alice@here.test\x00.foreign.test",
		"user@127.0.0.1",
		"user@localhost",
		"user",
		"",
		"@here.test",
	} {
		require.Contains(t, []int{550, 501}, w.rcpt(stranger, to), "%q", to)
	}
	require.Equal(t, 550, w.rcpt(stranger, "user%foreign.test@here.test"))
	require.Empty(t, w.queued(t))
}

func TestDirectoryDownIsTemporaryAtEveryStage(t *testing.T) {
	w := newWorld(t, nil)
	w.people.fail = directory.ErrUnavailable
	require.Equal(t, 451, w.rcpt(from("192.0.2.1:1", ""), "alice@here.test"))
	require.Equal(t, 451, w.rcpt(from("192.0.2.1:1", ""), "x@far.test"), "unknown whether it is ours")
	s := from("192.0.2.1:1", "alice@here.test")
	require.Equal(t, 451, code(w.Hooks().Mail(context.Background(), s, &mail.Envelope{From: mail.MustParseAddress("alice@here.test")})))
}

func TestDisabledAccountIsRefused(t *testing.T) {
	require.Equal(t, 550, recipientReply(directory.ErrDisabled).Code)
	require.Equal(t, 550, recipientReply(directory.ErrNotLocal).Code)
}

func TestSenderMustBelongToTheAccount(t *testing.T) {
	w := newWorld(t, nil)
	relaxed := newWorld(t, func(o *Options) { o.Senders = AnyAddress })
	ask := func(w *world, s *smtp.Session, from string) int {
		e := &mail.Envelope{}
		if from != "" {
			e.From = mail.MustParseAddress(from)
		}
		return code(w.Hooks().Mail(context.Background(), s, e))
	}
	alice := from("192.0.2.1:1", "alice@here.test")
	alice.Protocol = smtp.Submission
	require.Equal(t, 250, ask(w, alice, "alice@here.test"))
	require.Equal(t, 250, ask(w, alice, "Alice@HERE.test"))
	require.Equal(t, 250, ask(w, alice, "sales@here.test"), "an alias of hers")
	require.Equal(t, 250, ask(w, alice, ""), "reports that her program writes")
	require.Equal(t, 553, ask(w, alice, "bob@here.test"))
	require.Equal(t, 553, ask(w, alice, "gone@here.test"))
	require.Equal(t, 553, ask(w, alice, "alice@far.test"))
	require.Equal(t, 250, ask(relaxed, alice, "alice@far.test"))

	stranger := from("192.0.2.1:1", "")
	require.Equal(t, 250, ask(w, stranger, "alice@here.test"), "on port 25 that is for SPF to judge")
}

// TestRecipientsWithoutRoomAreRefusedBeforeTheMessage asks for recipients over
// a store whose accounts have bounds, and whose size the client tells or not.
func TestRecipientsWithoutRoomAreRefusedBeforeTheMessage(t *testing.T) {
	w := newWorld(t, nil)
	w.store.Store = memorystore.NewWith(memorystore.Options{Settings: func(string) storage.Settings {
		return storage.Settings{Quota: storage.Quota{Bytes: 700}}
	}})
	ask := func(size int64, to string) *mail.Reply {
		e := &mail.Envelope{Options: gosmtp.MailOptions{Size: size}}
		return mail.AsReply(w.Hooks().Rcpt(context.Background(), from("192.0.2.1:1", "alice@here.test"), e, &mail.Recipient{To: mail.MustParseAddress(to)}))
	}
	require.Nil(t, ask(int64(len(text)), "bob@here.test"))
	require.Contains(t, ask(1<<20, "bob@here.test").Error(), "452 4.2.2 The mailbox is full")
	for range 2 {
		require.Equal(t, 250, w.handle(t, mailTo(t, "a@client.test", "bob@here.test")).Code)
	}
	require.Equal(t, 452, w.handle(t, mailTo(t, "a@client.test", "bob@here.test")).Code, "with its trace it has no room")
	require.Len(t, w.inbox(t, "bob@here.test"), 2)
	require.Equal(t, 452, ask(700, "bob@here.test").Code)
	require.Nil(t, ask(0, "bob@here.test"), "nobody knows yet how large it is")
	require.Nil(t, ask(700, "sales@here.test"), "alice has room")
	require.Nil(t, ask(1<<20, "both@here.test"), "it goes elsewhere too")
	require.Nil(t, ask(1<<20, "x@far.test"))
}
