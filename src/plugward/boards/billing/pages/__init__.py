"""Pages 页面 of the cashier: the counter, refunds, the closing with what is unresolved."""
