package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"time"

	gomessage "github.com/emersion/go-message"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// notice tells a user by mail that the account has reached a threshold of its
// quota. The message is stored over the quota, since at the last threshold
// there may be no room for it.
func (o *opened) notice(n storage.Notice) {
	to, err := mail.ParseAddress(n.User)
	if err != nil {
		return // public folders: nobody reads mail there
	}
	content, err := composeNotice(o.hostname, to, n)
	if err == nil {
		err = o.deliverNotice(n.User, to, content)
	}
	if err != nil {
		slog.Error("notice of a quota not delivered", "account", n.User, "threshold", n.Threshold, "err", err)
		return
	}
	slog.Info("quota threshold reached", "account", n.User, "threshold", n.Threshold)
}

func (o *opened) deliverNotice(user string, to mail.Address, content []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	receipts, err := o.store.Deliver(ctx, &storage.Delivery{
		Body: message.FromBytes(content),
		Targets: []storage.Target{{
			User: user, Over: true, Prefix: fmt.Appendf(nil, "Return-Path: <>\r\nDelivered-To: %s\r\n", to),
		}},
	})
	if err != nil {
		return err
	}
	return receipts[0].Err
}

// composeNotice writes the message.
func composeNotice(hostname string, to mail.Address, n storage.Notice) ([]byte, error) {
	var h gomessage.Header // Add puts a field before those that are there
	h.SetContentType("text/plain", map[string]string{"charset": "utf-8"})
	h.Add("MIME-Version", "1.0")
	h.Add("Auto-Submitted", "auto-generated") // RFC 3834 §5
	h.Add("Message-ID", "<"+strings.ToLower(rand.Text()[:16])+"@"+hostname+">")
	h.Add("Date", time.Now().Format(time.RFC1123Z))
	h.Add("Subject", fmt.Sprintf("Your mailbox is %d%% full", n.Limit.Percent(n.Used)))
	h.Add("To", "<"+to.String()+">")
	h.Add("From", "Postmaster <postmaster@"+hostname+">")
	var b bytes.Buffer
	w, err := gomessage.CreateWriter(&b, h)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(noticeText(hostname, n)); err != nil {
		return nil, err
	}
	return b.Bytes(), w.Close()
}

// noticeText is what a person reads.
func noticeText(hostname string, n storage.Notice) []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("This is the mail system at %s.", hostname)
	line("")
	line("Your account has reached %d percent of its quota. It holds", n.Threshold)
	line("")
	for _, bound := range [...]struct {
		of          string
		used, limit int64
	}{
		{"octets", n.Used.Bytes, n.Limit.Bytes},
		{"messages", n.Used.Messages, n.Limit.Messages},
		{"mailboxes", n.Used.Mailboxes, n.Limit.Mailboxes},
	} {
		if bound.limit > 0 {
			line("    %d of %d %s", bound.used, bound.limit, bound.of)
		}
	}
	line("")
	line("When the quota is used up, no more mail can be taken for you.")
	line("Please delete messages that you no longer need, those in the trash, too.")
	return b.Bytes()
}
