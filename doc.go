// Package posthouse is the root of a library of mail-server parts. It holds
// nothing itself: import the part you need.
//
//	mail        addresses, envelopes, replies
//	message     the shape of a message
//	listener    who may connect, under which limits
//	auth        who is this?
//	mapping     where does this user live?
//	directory   who gets this address's mail?
//	storage     what does this user have?
//	queue       what still has to be sent?
//	smtp        the receiving engine: SMTP, submission, LMTP
//	imap, pop3  the engines users read mail with
//	managesieve a proxy for it, as imap, pop3 and smtp have one each
//	processing  the mail flow between them
//	server      named services: start, supervise, stop
//
// The programs in examples compose them; examples/fullnode is a whole mail
// server.
package posthouse
