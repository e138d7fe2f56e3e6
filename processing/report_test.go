package processing

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/smtp/sender"
)

func TestDelayNoticeOnceAndOnlyWhenAsked(t *testing.T) {
	for name, c := range map[string]struct {
		notify []gosmtp.DSNNotify
		always DelayNotices
		want   int
	}{
		"asked":            {[]gosmtp.DSNNotify{gosmtp.DSNNotifyDelayed}, DelayWhenAsked, 1},
		"not asked":        {nil, DelayWhenAsked, 0},
		"by configuration": {nil, DelayAlways, 1},
		"not wanted":       {[]gosmtp.DSNNotify{gosmtp.DSNNotifyFailure}, DelayAlways, 0},
		"never":            {[]gosmtp.DSNNotify{gosmtp.DSNNotifyNever}, DelayAlways, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(o *Options) { o.DelayNotices = c.always })
				w.post.answer = func(string, int) sender.Result { return says(451, 4, 4, 1) }
				m := mailTo(t, "alice@here.test", "x@far.test")
				m.Envelope.Recipients[0].Options.Notify = c.notify
				w.handle(t, m)
				w.run(func() {
					time.Sleep(3 * time.Hour)
					synctest.Wait()
					require.Empty(t, w.inbox(t, "alice@here.test"))
					time.Sleep(3 * 24 * time.Hour)
				})
				reports := w.inbox(t, "alice@here.test")
				require.Len(t, reports, c.want)
				if c.want > 0 {
					require.Contains(t, reports[0], "Action: delayed")
					require.Contains(t, reports[0], "Will-Retry-Until: ")
				}
				require.Len(t, w.queued(t), 1)
			})
		})
	}
}

func TestNotifyDecidesAboutFailureReports(t *testing.T) {
	for name, c := range map[string]struct {
		from   string
		notify []gosmtp.DSNNotify
		want   int
	}{
		"nothing said":           {"alice@here.test", nil, 1},
		"failure":                {"alice@here.test", []gosmtp.DSNNotify{gosmtp.DSNNotifyFailure, gosmtp.DSNNotifySuccess}, 1},
		"never":                  {"alice@here.test", []gosmtp.DSNNotify{gosmtp.DSNNotifyNever}, 0},
		"success only":           {"alice@here.test", []gosmtp.DSNNotify{gosmtp.DSNNotifySuccess}, 0},
		"M20 null sender":        {"", nil, 0},
		"M20 null sender, asked": {"", []gosmtp.DSNNotify{gosmtp.DSNNotifyFailure}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				w.post.answer = func(string, int) sender.Result { return says(550, 5, 1, 1) }
				m := mailTo(t, c.from, "x@far.test")
				m.Envelope.Recipients[0].Options.Notify = c.notify
				w.handle(t, m)
				w.run(func() { time.Sleep(time.Hour) })
				require.Len(t, w.inbox(t, "alice@here.test"), c.want)
				require.Empty(t, w.queued(t))
			})
		})
	}
}

// TestM20ReportAboutAReportIsNeverSent lets the bounce itself bounce.
func TestM20ReportAboutAReportIsNeverSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.post.answer = func(string, int) sender.Result { return says(550, 5, 1, 1) }
		// A forged report, as a spammer would send it, and real mail from an
		// address that takes none.
		forged := mailTo(t, "", "x@far.test")
		forged.Body = message.FromBytes([]byte("From: MAILER-DAEMON@mx.here.test\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n" +
			"--b\r\nContent-Type: message/delivery-status\r\n\r\nOriginal-Envelope-Id: 1\r\n\r\nFinal-Recipient: rfc822; alice@here.test\r\nAction: failed\r\n--b--\r\n"))
		forged.Index = nil
		w.handle(t, forged)
		w.handle(t, mailTo(t, "spammer@nowhere.test", "y@far.test"))
		w.run(func() { time.Sleep(10 * 24 * time.Hour) })
		require.Empty(t, w.queued(t))
		require.Empty(t, w.inbox(t, "alice@here.test"))
		require.Equal(t, map[string]int{"x@far.test": 1, "y@far.test": 1, "spammer@nowhere.test": 1}, w.post.tried)
	})
}

func TestReportThatCantBeStoredKeepsTheRecipient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.post.answer = func(string, int) sender.Result { return says(550, 5, 1, 1) }
		w.handle(t, mailTo(t, "alice@here.test", "x@far.test"))
		w.store.mu.Lock()
		w.store.fail = errors.New("down")
		w.store.mu.Unlock()
		w.run(func() {
			synctest.Wait()
			require.Equal(t, []string{"x@far.test far.test"}, w.queued(t))
			w.store.mu.Lock()
			w.store.fail = nil
			w.store.mu.Unlock()
			time.Sleep(time.Hour)
		})
		require.Empty(t, w.queued(t))
		require.Len(t, w.inbox(t, "alice@here.test"), 1)
	})
}

func TestSuccessReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		asked := []gosmtp.DSNNotify{gosmtp.DSNNotifySuccess}
		w.post.answer = func(to string, _ int) sender.Result {
			r := says(250, 2, 1, 5)
			r.DSN = strings.HasPrefix(to, "dsn")
			return r
		}
		m := mailTo(t, "alice@here.test", "bob@here.test", "dsn@far.test", "plain@far.test", "quiet@far.test")
		for i := range 3 {
			m.Envelope.Recipients[i].Options.Notify = asked
		}
		w.handle(t, m)
		require.Len(t, w.inbox(t, "alice@here.test"), 1, "delivered here: told at once")
		require.Contains(t, w.inbox(t, "alice@here.test")[0], "Action: delivered")
		w.run(func() { time.Sleep(time.Minute) })
		reports := w.inbox(t, "alice@here.test")
		require.Len(t, reports, 2)
		require.Contains(t, reports[1], "Action: relayed")
		require.Contains(t, reports[1], "plain@far.test")
		require.NotContains(t, reports[1], "dsn@far.test")
		require.NotContains(t, reports[1], "quiet@far.test")
	})
}
