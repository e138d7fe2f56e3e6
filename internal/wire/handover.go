package wire

// HandOver lets a session outlive its handler: as soon as that has returned,
// whoever called it (front.Pool) calls next, in place of closing the
// connection and forgetting it, which end does. So a goroutine whose stack a
// login has grown need not wait until the session's end. next must see to it
// that end is called, from any goroutine; more than once does no harm. next must not block.
func (c *Conn) HandOver(next func(end func())) { c.next = next }

// HandedOver returns what HandOver was given, nil when it was not called.
func (c *Conn) HandedOver() func(end func()) { return c.next }
