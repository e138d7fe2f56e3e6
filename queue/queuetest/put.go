package queuetest

import (
	"context"
	"strings"
	"testing"
	"time"

	smtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/queue"
)

var putTests = map[string]func(*testing.T, *bench){
	"ClaimReturnsWhatWasPut": func(t *testing.T, b *bench) {
		auth, priority := "", 3
		m := to("a@one.test", `"b c"@one.test`)
		m.Envelope.Options = smtp.MailOptions{
			Body: smtp.Body8BitMIME, Size: 77, RequireTLS: true, UTF8: true,
			Return: smtp.DSNReturnHeaders, EnvelopeID: "e+1", Auth: &auth,
		}
		m.Envelope.Recipients[1].Options = smtp.RcptOptions{
			Notify:                []smtp.DSNNotify{smtp.DSNNotifyDelayed, smtp.DSNNotifySuccess},
			OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "o@one.test",
			RequireRecipientValidSince: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC),
			DeliverBy:                  &smtp.DeliverByOptions{Time: time.Hour, Mode: smtp.DeliverByReturn, Trace: true},
			MTPriority:                 &priority,
		}
		m.Received = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
		m.Session = "s-1"
		id := b.putMessage(m)

		c := b.one()
		require.Equal(t, id, c.ID)
		require.Equal(t, "one.test", c.Destination)
		require.Equal(t, m.Envelope, c.Envelope)
		require.Equal(t, m.Envelope.From, c.From)
		require.Equal(t, []queue.State{{}, {}}, c.States)
		require.True(t, m.Received.Equal(c.Received), "received at %v", c.Received)
		require.Equal(t, "s-1", c.Session)
		require.Equal(t, "Received: from here\r\nSubject: test\r\n\r\nHello.\r\n", b.content(c.Body))
	},
	"NullSenderAndUnicodeTravel": func(t *testing.T, b *bench) {
		m := to("ж@пример.test")
		m.Envelope.From = mail.Address{}
		b.putMessage(m)
		c := b.one()
		require.True(t, c.From.IsNull())
		require.Equal(t, m.Envelope.Recipients, c.Envelope.Recipients)
		require.Equal(t, mail.DomainKey("пример.test"), c.Destination)
	},
	"ReceivedDefaultsToNow": func(t *testing.T, b *bench) {
		b.put("a@one.test")
		require.True(t, b.clock.Now().Equal(b.one().Received))
	},
	"EmptyContentIsAMessage": func(t *testing.T, b *bench) {
		m := to("a@one.test")
		m.Body, m.Prefix = nil, nil
		b.putMessage(m)
		m.Body = newBody("")
		b.putMessage(m)
		for _, c := range b.claim(2) {
			require.Empty(t, b.content(c.Body))
			b.settle(c, done)
		}
		require.Empty(t, b.claim(2))
	},
	"LargeContentIsWhole": func(t *testing.T, b *bench) {
		m := to("a@one.test")
		text := strings.Repeat("0123456789abcde\r\n", 200_000)
		m.Body, m.Prefix = newBody(text), nil
		b.putMessage(m)
		require.Equal(t, text, b.content(b.one().Body))
	},
	"IDsDifferForEver": func(t *testing.T, b *bench) {
		seen := make(map[queue.ID]bool)
		for range 5 {
			for range 3 {
				id := b.put("a@one.test")
				require.False(t, seen[id], "id %d twice", id)
				seen[id] = true
			}
			for _, c := range b.claim(3) {
				b.settle(c, done)
			}
		}
	},
	"GivenDestinationsGroup": func(t *testing.T, b *bench) {
		m := to("a@one.test", "b@two.test", "c@one.test")
		m.Destinations = []string{"relay", "relay", "Other host"}
		b.putMessage(m)
		claims := b.claim(10)
		require.Equal(t, map[string]int{"relay": 1, "Other host": 1}, domains(claims))
	},
	"DomainsCompareByKey": func(t *testing.T, b *bench) {
		b.put("a@One.test", "b@oNE.TEST.")
		require.Equal(t, []string{"a@One.test", "b@oNE.TEST."}, recipients(b.one()))
	},
	"BadMessagesAreRefused": func(t *testing.T, b *bench) {
		short := to("a@one.test", "b@one.test")
		short.Destinations = []string{"x"}
		nul := to("a@one.test")
		nul.Destinations = []string{"a\x00b"}
		long := to("a@one.test")
		long.Destinations = []string{strings.Repeat("x", queue.MaxDestination+1)}
		bare := to("a@one.test")
		bare.Envelope.Recipients[0].To = mail.Postmaster
		for name, m := range map[string]*queue.Message{"none": to(), "short": short, "nul": nul, "long": long, "bare": bare} {
			_, err := b.q.Put(b.ctx, m)
			require.ErrorIs(t, err, queue.ErrBadMessage, name)
		}
		require.Empty(t, b.claim(1))
	},
	"EndedContextStoresNothing": func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(b.ctx)
		cancel()
		_, err := b.q.Put(ctx, to("a@one.test"))
		require.ErrorIs(t, err, context.Canceled)
		_, err = b.q.Claim(ctx, 1, lease)
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, b.claim(1))
	},
	"NotBeforeDelaysTheFirstAttempt": func(t *testing.T, b *bench) {
		m := to("a@one.test")
		m.NotBefore = b.clock.Now().Add(time.Hour)
		b.putMessage(m)
		require.Empty(t, b.claim(1))
		b.clock.Advance(time.Hour - time.Second)
		require.Empty(t, b.claim(1))
		b.clock.Advance(time.Second)
		b.one()
	},
}
