package queue

import "errors"

// Errors of queues. Test for them with errors.Is; every other error is a
// failure of the queue itself and temporary.
var (
	ErrLeaseLost  = errors.New("the lease has ended")
	ErrNotQueued  = errors.New("no such message in the queue")
	ErrFull       = errors.New("the queue is full")
	ErrBadMessage = errors.New("message can't be queued")
	ErrClosed     = errors.New("the queue is closed")
)
