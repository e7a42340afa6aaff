using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace NativeBigModel.Server;

/// <summary>A model served by itself, over HTTP/1.1. An application of ASP.NET Core has <see cref="NativeBigModelEndpoints.MapNativeBigModel"/> instead.</summary>
public sealed class ModelServer : IAsyncDisposable
{
    /// <summary>The port where none is asked for.</summary>
    public const int DefaultPort = 8080;

    private const int MaxConnections = 512;
    private static readonly TimeSpan s_headers = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan s_farewell = TimeSpan.FromSeconds(5);

    private readonly WebApplication _application;

    private ModelServer(WebApplication application, Uri address) => (_application, Address) = (application, address);

    /// <summary>Where it listens.</summary>
    public Uri Address { get; }

    /// <summary>Begins to serve a model, which stays the caller's: dispose of it after the server.</summary>
    /// <param name="model">The model.</param>
    /// <param name="options">How it is served; null for the defaults.</param>
    /// <param name="host">An address of this machine, or a name that has one; <c>0.0.0.0</c> or <c>::</c> for all. The default can only be reached from this machine.</param>
    /// <param name="port">The port; 0 for one that is free.</param>
    /// <param name="cancel">Gives up starting.</param>
    /// <exception cref="InvalidOptionException">An option is out of range, or the host has no address.</exception>
    /// <exception cref="IOException">The port is taken.</exception>
    public static async Task<ModelServer> StartAsync(BigModel model, ModelServerOptions? options = null, string host = "127.0.0.1", int port = DefaultPort, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        options ??= new();
        options.Validate();
        IPEndPoint endpoint = await EndPointAsync(host, port, cancel).ConfigureAwait(false);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = options.MaxBodyBytes;
            kestrel.Limits.MaxConcurrentConnections = MaxConnections;
            kestrel.Limits.RequestHeadersTimeout = s_headers;
            kestrel.Listen(endpoint, listen => listen.Protocols = HttpProtocols.Http1);
        });
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.Services.Configure<HostOptions>(hosting => hosting.ShutdownTimeout = s_farewell);
        WebApplication application = builder.Build();
        try
        {
            application.UseSurroundings(loopbackOnly: IPAddress.IsLoopback(endpoint.Address) && options.ApiKey is null);
            application.MapNativeBigModel(model, options);
            await application.StartAsync(cancel).ConfigureAwait(false);
            string address = application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
            return new(application, new Uri(address));
        }
        catch
        {
            await application.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>The address that a host name and a port mean.</summary>
    /// <exception cref="InvalidOptionException">There is none.</exception>
    public static async Task<IPEndPoint> EndPointAsync(string host, int port, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(host);
        if (port is < IPEndPoint.MinPort or > IPEndPoint.MaxPort) throw new InvalidOptionException($"port: {port}; it may be from {IPEndPoint.MinPort} to {IPEndPoint.MaxPort}");
        if (IPAddress.TryParse(host, out IPAddress? address)) return new(address, port);
        try { return new((await Dns.GetHostAddressesAsync(host, cancel).ConfigureAwait(false))[0], port); }
        catch (System.Net.Sockets.SocketException error) { throw new InvalidOptionException($"host: '{host}' has no address: {error.Message}"); }
    }

    /// <summary>Takes no more requests, lets those that run go on for up to 5 seconds, and ends them.</summary>
    public async ValueTask DisposeAsync()
    {
        await _application.StopAsync().ConfigureAwait(false);
        await _application.DisposeAsync().ConfigureAwait(false);
    }

    // Whoever starts a server says when it ends; signals are the process's affair.
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
