package local

import (
	"errors"
	"strings"
	"testing"
	"time"

	smtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/queue"
)

func sampleRecipient() *recipient {
	return &recipient{
		to: mail.Recipient{
			To:      mail.MustParseAddress(`"a b"@one.test`),
			Options: smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}},
		},
		destination: "one.test", due: stamp(time.Now()),
		state: queue.State{Attempts: 3, Delayed: true, Last: mail.Errorf(421, smtp.EnhancedCode{4, 4, 1}, "No answer").Because(errors.New("dial"))},
	}
}

func sampleEnvelope() *envelope {
	return &envelope{
		from: mail.MustParseAddress("a@b.test"), options: smtp.MailOptions{EnvelopeID: "e"}, total: 2,
		received: 12345, session: "s", prefix: []byte("X: y\r\n"), size: 1 << 40,
	}
}

func TestRecordsReadBack(t *testing.T) {
	v := sampleEnvelope()
	b, err := v.appendTo(nil)
	require.NoError(t, err)
	got, only, err := decodeMessage(b)
	require.NoError(t, err)
	require.Nil(t, only)
	require.Equal(t, v, got)
	r := sampleRecipient()
	b, err = r.encode()
	require.NoError(t, err)
	back, err := decodeRecipient(b)
	require.NoError(t, err)
	require.Equal(t, r.state.Last.Error(), back.state.Last.Error())
	back.state.Last = r.state.Last
	require.Equal(t, r, back)

	v.total = 1
	r.message = v
	b, err = r.encode()
	require.NoError(t, err)
	got, only, err = decodeMessage(b)
	require.NoError(t, err)
	require.Equal(t, v, got)
	only.state.Last = r.state.Last
	require.Equal(t, r, only)
}

func TestLongRepliesAreCut(t *testing.T) {
	r := sampleRecipient()
	r.state.Last = &mail.Reply{Code: 12345, Text: strings.Repeat("é", maxReply), Reason: errors.New(strings.Repeat("x", 1<<20))}
	b, err := r.encode()
	require.NoError(t, err)
	require.Less(t, len(b), 3*maxReply)
	back, err := decodeRecipient(b)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("é", maxReply/2), back.state.Last.Text)
}

func FuzzRecords(f *testing.F) {
	v, r := sampleEnvelope(), sampleRecipient()
	b, _ := v.appendTo(nil)
	f.Add(b)
	b, _ = r.encode()
	f.Add(b)
	v.total = 1
	r.message = v
	b, _ = r.encode()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, only, err := decodeMessage(b); err == nil {
			again, err := v.appendTo(nil)
			if only != nil {
				again, err = only.encode()
			}
			require.NoError(t, err)
			_, _, err = decodeMessage(again)
			require.NoError(t, err)
		}
		if r, err := decodeRecipient(b); err == nil {
			again, err := r.encode()
			require.NoError(t, err)
			_, err = decodeRecipient(again)
			require.NoError(t, err)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add(entryKey("one.test", entry{1, 2, 3}))
	f.Add(messageKey(7))
	f.Add(recipientKey(7, 1))
	f.Fuzz(func(t *testing.T, k []byte) {
		if d, e, ok := parseEntryKey(k); ok {
			require.Equal(t, k, entryKey(string(d), e))
		}
		if n, whole, ok := parseMessageKey(k); ok {
			if whole {
				require.Equal(t, k, messageKey(n.id))
			} else {
				require.Equal(t, k, recipientKey(n.id, n.number))
			}
		}
	})
}
