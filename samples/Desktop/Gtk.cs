using System.Runtime.InteropServices;

namespace DesktopChat;

/// <summary>What this application uses of GTK 4. Everything here belongs to the thread that called <see cref="Start"/>, but for <see cref="Post"/>.</summary>
internal static unsafe partial class Gtk
{
    private const string Library = "libgtk-4.so.1";
    private const string GObject = "libgobject-2.0.so.0";
    private const string GLib = "libglib-2.0.so.0";
    private const uint ApplicationPriority = 600;

    private static nint s_loop;

    /// <summary>How a widget lies in the room that it gets.</summary>
    public enum Align { Fill = 0, Start = 1, End = 2 }

    /// <summary>Connects to the display. False where there is none.</summary>
    /// <exception cref="DllNotFoundException">GTK 4 is not installed.</exception>
    public static bool Start() => InitCheck() != 0;

    /// <summary>Handles events until <see cref="Quit"/>.</summary>
    public static void Run()
    {
        s_loop = LoopNew(0, 0);
        LoopRun(s_loop);
    }

    public static void Quit() => LoopQuit(s_loop);

    /// <summary>Has something done by the thread of <see cref="Run"/>, when the events that are pending have been handled. From any thread.</summary>
    public static void Post(Action action) => _ = IdleAdd(&CallOnce, GCHandle.ToIntPtr(GCHandle.Alloc(action)));

    /// <summary>Styles the application's widgets.</summary>
    public static void AddStyle(string css)
    {
        nint provider = CssProviderNew();
        CssProviderLoadFromData(provider, css, -1);
        StyleContextAddProviderForDisplay(DisplayGetDefault(), provider, ApplicationPriority);
        Unref(provider);
    }

    /// <summary>Has a signal without arguments call something, as long as the widget lives.</summary>
    public static void On(nint widget, string signal, Action action) =>
        SignalConnect(widget, signal, (nint)(delegate* unmanaged[Cdecl]<nint, nint, void>)&Call, GCHandle.ToIntPtr(GCHandle.Alloc(action)), &Free, 0);

    /// <summary>Has the closing of a window call something in place of closing it.</summary>
    public static void OnClose(nint window, Action action) =>
        SignalConnect(window, "close-request", (nint)(delegate* unmanaged[Cdecl]<nint, nint, int>)&CallAndStop, GCHandle.ToIntPtr(GCHandle.Alloc(action)), &Free, 0);

    public static nint Box(bool vertical, int spacing, params ReadOnlySpan<nint> children)
    {
        nint box = BoxNew(vertical ? 1 : 0, spacing);
        foreach (nint child in children) Append(box, child);
        return box;
    }

    public static nint Label(string text, params ReadOnlySpan<string> styles)
    {
        nint label = LabelNew(text);
        SetWrap(label, 1);
        SetXAlign(label, 0);
        foreach (string style in styles) AddStyleClass(label, style);
        return label;
    }

    public static nint Entry(string hint, string text = "")
    {
        nint entry = EntryNew();
        SetHint(entry, hint);
        SetText(entry, text);
        SetHExpand(entry, 1);
        return entry;
    }

    /// <summary>A column of widgets that scrolls, and shows its end when it grows.</summary>
    public static nint Scrolled(nint content)
    {
        nint scrolled = ScrolledNew();
        ScrolledSetChild(scrolled, content);
        SetVExpand(scrolled, 1);
        nint vertical = ScrolledVAdjustment(scrolled);
        On(vertical, "changed", () => AdjustmentSetValue(vertical, AdjustmentUpper(vertical)));
        return scrolled;
    }

    public static void SetMargin(nint widget, int pixels)
    {
        SetMarginTop(widget, pixels);
        SetMarginBottom(widget, pixels);
        SetMarginStart(widget, pixels);
        SetMarginEnd(widget, pixels);
    }

    public static void SetBar(nint bar, double fraction, string text)
    {
        BarSetFraction(bar, fraction);
        BarSetShowText(bar, 1);
        BarSetText(bar, text);
    }

    public static string TextOf(nint entry) => Marshal.PtrToStringUTF8(EditableText(entry))!;

    public static string LabelOf(nint label) => Marshal.PtrToStringUTF8(LabelText(label))!;

    public static string BarTextOf(nint bar) => Marshal.PtrToStringUTF8(BarText(bar)) ?? "";

    public static string ButtonTextOf(nint button) => Marshal.PtrToStringUTF8(ButtonLabel(button))!;

    public static void Focus(nint widget) => _ = GrabFocus(widget);

    public static void Enable(nint widget, bool enabled) => SetSensitive(widget, enabled ? 1 : 0);

    public static void Show(nint widget, bool shown) => SetVisible(widget, shown ? 1 : 0);

    [UnmanagedCallersOnly(CallConvs = [typeof(System.Runtime.CompilerServices.CallConvCdecl)])]
    private static void Call(nint sender, nint data) => ((Action)GCHandle.FromIntPtr(data).Target!)();

    [UnmanagedCallersOnly(CallConvs = [typeof(System.Runtime.CompilerServices.CallConvCdecl)])]
    private static int CallAndStop(nint sender, nint data)
    {
        ((Action)GCHandle.FromIntPtr(data).Target!)();
        return 1;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(System.Runtime.CompilerServices.CallConvCdecl)])]
    private static int CallOnce(nint data)
    {
        GCHandle handle = GCHandle.FromIntPtr(data);
        var action = (Action)handle.Target!;
        handle.Free();
        action();
        return 0;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(System.Runtime.CompilerServices.CallConvCdecl)])]
    private static void Free(nint data, nint closure) => GCHandle.FromIntPtr(data).Free();

    [LibraryImport(Library, EntryPoint = "gtk_init_check")]
    private static partial int InitCheck();

    [LibraryImport(Library, EntryPoint = "gtk_window_new")]
    public static partial nint Window();

    [LibraryImport(Library, EntryPoint = "gtk_window_set_title", StringMarshalling = StringMarshalling.Utf8)]
    public static partial void SetTitle(nint window, string title);

    [LibraryImport(Library, EntryPoint = "gtk_window_set_default_size")]
    public static partial void SetSize(nint window, int width, int height);

    [LibraryImport(Library, EntryPoint = "gtk_window_set_child")]
    public static partial void SetChild(nint window, nint child);

    [LibraryImport(Library, EntryPoint = "gtk_window_present")]
    public static partial void Present(nint window);

    [LibraryImport(Library, EntryPoint = "gtk_box_new")]
    private static partial nint BoxNew(int orientation, int spacing);

    [LibraryImport(Library, EntryPoint = "gtk_box_append")]
    public static partial void Append(nint box, nint child);

    [LibraryImport(Library, EntryPoint = "gtk_box_remove")]
    public static partial void Remove(nint box, nint child);

    [LibraryImport(Library, EntryPoint = "gtk_button_new_with_label", StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint Button(string label);

    [LibraryImport(Library, EntryPoint = "gtk_button_set_label", StringMarshalling = StringMarshalling.Utf8)]
    public static partial void SetButton(nint button, string label);

    [LibraryImport(Library, EntryPoint = "gtk_button_get_label")]
    private static partial nint ButtonLabel(nint button);

    [LibraryImport(Library, EntryPoint = "gtk_entry_new")]
    private static partial nint EntryNew();

    [LibraryImport(Library, EntryPoint = "gtk_entry_set_placeholder_text", StringMarshalling = StringMarshalling.Utf8)]
    private static partial void SetHint(nint entry, string text);

    [LibraryImport(Library, EntryPoint = "gtk_editable_set_text", StringMarshalling = StringMarshalling.Utf8)]
    public static partial void SetText(nint entry, string text);

    [LibraryImport(Library, EntryPoint = "gtk_editable_get_text")]
    private static partial nint EditableText(nint entry);

    [LibraryImport(Library, EntryPoint = "gtk_label_new", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint LabelNew(string text);

    [LibraryImport(Library, EntryPoint = "gtk_label_set_text", StringMarshalling = StringMarshalling.Utf8)]
    public static partial void SetLabel(nint label, string text);

    [LibraryImport(Library, EntryPoint = "gtk_label_get_text")]
    private static partial nint LabelText(nint label);

    [LibraryImport(Library, EntryPoint = "gtk_label_set_wrap")]
    private static partial void SetWrap(nint label, int wrap);

    [LibraryImport(Library, EntryPoint = "gtk_label_set_xalign")]
    private static partial void SetXAlign(nint label, float align);

    [LibraryImport(Library, EntryPoint = "gtk_label_set_selectable")]
    public static partial void SetSelectable(nint label, int selectable);

    [LibraryImport(Library, EntryPoint = "gtk_progress_bar_new")]
    public static partial nint Bar();

    [LibraryImport(Library, EntryPoint = "gtk_progress_bar_set_fraction")]
    private static partial void BarSetFraction(nint bar, double fraction);

    [LibraryImport(Library, EntryPoint = "gtk_progress_bar_set_show_text")]
    private static partial void BarSetShowText(nint bar, int show);

    [LibraryImport(Library, EntryPoint = "gtk_progress_bar_set_text", StringMarshalling = StringMarshalling.Utf8)]
    private static partial void BarSetText(nint bar, string text);

    [LibraryImport(Library, EntryPoint = "gtk_progress_bar_get_text")]
    private static partial nint BarText(nint bar);

    [LibraryImport(Library, EntryPoint = "gtk_scrolled_window_new")]
    private static partial nint ScrolledNew();

    [LibraryImport(Library, EntryPoint = "gtk_scrolled_window_set_child")]
    private static partial void ScrolledSetChild(nint scrolled, nint child);

    [LibraryImport(Library, EntryPoint = "gtk_scrolled_window_get_vadjustment")]
    private static partial nint ScrolledVAdjustment(nint scrolled);

    [LibraryImport(Library, EntryPoint = "gtk_adjustment_set_value")]
    private static partial void AdjustmentSetValue(nint adjustment, double value);

    [LibraryImport(Library, EntryPoint = "gtk_adjustment_get_upper")]
    private static partial double AdjustmentUpper(nint adjustment);

    [LibraryImport(Library, EntryPoint = "gtk_widget_grab_focus")]
    private static partial int GrabFocus(nint widget);

    [LibraryImport(Library, EntryPoint = "gtk_widget_add_css_class", StringMarshalling = StringMarshalling.Utf8)]
    public static partial void AddStyleClass(nint widget, string name);

    [LibraryImport(Library, EntryPoint = "gtk_widget_set_halign")]
    public static partial void SetHAlign(nint widget, Align align);

    [LibraryImport(Library, EntryPoint = "gtk_widget_set_hexpand")]
    private static partial void SetHExpand(nint widget, int expand);

    [LibraryImport(Library, EntryPoint = "gtk_widget_set_vexpand")]
    private static partial void SetVExpand(nint widget, int expand);

    [LibraryImport(Library, EntryPoint = "gtk_widget_set_margin_top")]
    private static partial void SetMarginTop(nint widget, int pixels);

    [LibraryImport(Library, EntryPoint = "gtk_widget_set_margin_bottom")]
    private static partial void SetMarginBottom(nint widget, int pixels);

    [LibraryImport(Library, EntryPoint = "gtk_widget_set_margin_start")]
    private static partial void SetMarginStart(nint widget, int pixels);

    [LibraryImport(Library, EntryPoint = "gtk_widget_set_margin_end")]
    private static partial void SetMarginEnd(nint widget, int pixels);

    [LibraryImport(Library, EntryPoint = "gtk_widget_set_sensitive")]
    private static partial void SetSensitive(nint widget, int sensitive);

    [LibraryImport(Library, EntryPoint = "gtk_widget_get_sensitive")]
    public static partial int IsEnabled(nint widget);

    [LibraryImport(Library, EntryPoint = "gtk_widget_set_visible")]
    private static partial void SetVisible(nint widget, int visible);

    [LibraryImport(Library, EntryPoint = "gtk_css_provider_new")]
    private static partial nint CssProviderNew();

    [LibraryImport(Library, EntryPoint = "gtk_css_provider_load_from_data", StringMarshalling = StringMarshalling.Utf8)]
    private static partial void CssProviderLoadFromData(nint provider, string css, nint length);

    [LibraryImport(Library, EntryPoint = "gtk_style_context_add_provider_for_display")]
    private static partial void StyleContextAddProviderForDisplay(nint display, nint provider, uint priority);

    [LibraryImport(Library, EntryPoint = "gdk_display_get_default")]
    private static partial nint DisplayGetDefault();

    [LibraryImport(GObject, EntryPoint = "g_signal_connect_data", StringMarshalling = StringMarshalling.Utf8)]
    private static partial ulong SignalConnect(nint instance, string signal, nint handler, nint data, delegate* unmanaged[Cdecl]<nint, nint, void> destroy, int flags);

    /// <summary>Does what a signal without arguments does.</summary>
    [LibraryImport(GObject, EntryPoint = "g_signal_emit_by_name", StringMarshalling = StringMarshalling.Utf8)]
    public static partial void Emit(nint instance, string signal);

    [LibraryImport(GObject, EntryPoint = "g_object_unref")]
    private static partial void Unref(nint instance);

    [LibraryImport(GLib, EntryPoint = "g_idle_add")]
    private static partial uint IdleAdd(delegate* unmanaged[Cdecl]<nint, int> function, nint data);

    [LibraryImport(GLib, EntryPoint = "g_main_loop_new")]
    private static partial nint LoopNew(nint context, int running);

    [LibraryImport(GLib, EntryPoint = "g_main_loop_run")]
    private static partial void LoopRun(nint loop);

    [LibraryImport(GLib, EntryPoint = "g_main_loop_quit")]
    private static partial void LoopQuit(nint loop);
}
