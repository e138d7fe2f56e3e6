package processing

import (
	"errors"
	"syscall"

	smtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/queue"
	"github.com/posthouse-mail/posthouse/storage"
)

// Answers of this package.
var (
	relayRefused = &mail.Reply{Code: 550, Enhanced: smtp.EnhancedCode{5, 7, 1}, Text: "Relaying is not allowed"}
	unknownUser  = &mail.Reply{Code: 550, Enhanced: smtp.EnhancedCode{5, 1, 1}, Text: "There is no such mailbox here"}
	disabledUser = &mail.Reply{Code: 550, Enhanced: smtp.EnhancedCode{5, 2, 1}, Text: "The mailbox does not take messages"}
	lookupFailed = &mail.Reply{Code: 451, Enhanced: smtp.EnhancedCode{4, 3, 0}, Text: "The address can't be checked now, please try again later"}
	overQuota    = &mail.Reply{Code: 452, Enhanced: smtp.EnhancedCode{4, 2, 2}, Text: "The mailbox is full, please try again later"}
	beingMoved   = &mail.Reply{Code: 451, Enhanced: smtp.EnhancedCode{4, 2, 1}, Text: "The mailbox is being moved, please try again later"}
	notYours     = &mail.Reply{Code: 553, Enhanced: smtp.EnhancedCode{5, 7, 1}, Text: "The sender address does not belong to your account"}
	expired      = &mail.Reply{Code: 554, Enhanced: smtp.EnhancedCode{5, 4, 7}, Text: "The message could not be delivered in time"}
	delivered    = &mail.Reply{Code: 250, Enhanced: smtp.EnhancedCode{2, 1, 5}, Text: "Delivered"}
)

// recipientReply says why the directory did not resolve a local address.
func recipientReply(err error) *mail.Reply {
	switch {
	case errors.Is(err, directory.ErrUnknown):
		return unknownUser
	case errors.Is(err, directory.ErrDisabled):
		return disabledUser
	case errors.Is(err, directory.ErrNotLocal):
		return relayRefused
	}
	return lookupFailed.Because(err)
}

// storageReply says why the store or the queue did not take a message.
func storageReply(err error) *mail.Reply {
	switch {
	case errors.Is(err, storage.ErrOverQuota):
		return overQuota.Because(err)
	case errors.Is(err, storage.ErrFrozen):
		return beingMoved.Because(err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, queue.ErrFull):
		return mail.ErrStorage.Because(err)
	}
	return mail.AsReply(err)
}

// oneReply is the answer for several failures at once. A temporary one wins:
// when the client tries again, that one may succeed and the others are named.
func oneReply(errs []error) *mail.Reply {
	var one *mail.Reply
	for _, err := range errs {
		if r := mail.AsReply(err); r != nil && (one == nil || r.Temporary() && !one.Temporary()) {
			one = r
		}
	}
	return one
}
