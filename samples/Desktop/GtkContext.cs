namespace DesktopChat;

/// <summary>Brings what comes after an await back to the thread of GTK's main loop, so that it may touch widgets.</summary>
internal sealed class GtkContext : SynchronizationContext
{
    public override void Post(SendOrPostCallback d, object? state) => Gtk.Post(() => d(state));

    public override void Send(SendOrPostCallback d, object? state) => throw new NotSupportedException("a thread that waits for the main loop may be one that the main loop waits for");

    public override SynchronizationContext CreateCopy() => this;
}
