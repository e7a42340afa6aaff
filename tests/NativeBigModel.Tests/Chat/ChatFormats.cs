namespace NativeBigModel.Tests.Chat;

/// <summary>Chat templates that render calls of tools as common families do.</summary>
internal static class ChatFormats
{
    // Hermes 2 and Qwen 2.5.
    public const string Hermes = """
        {%- if tools %}<|im_start|>system
        <tools>{% for tool in tools %}
        {{ tool | tojson }}{% endfor %}
        </tools><|im_end|>
        {% endif %}
        {%- for message in messages %}
        {%- if message.role == 'tool' %}<|im_start|>user
        <tool_response>
        {{ message.content }}
        </tool_response><|im_end|>
        {% else %}<|im_start|>{{ message.role }}
        {{ message.content }}
        {%- for call in message.tool_calls or [] %}
        <tool_call>
        {"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
        </tool_call>
        {%- endfor %}<|im_end|>
        {% endif %}
        {%- endfor %}
        {%- if add_generation_prompt %}<|im_start|>assistant
        {% endif %}
        """;

    // Mistral's.
    public const string Mistral = """
        {{- bos_token }}
        {%- for message in messages %}
        {%- if message.role == 'user' %}
        {%- if tools and loop.last %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}[INST]{{ message.content }}[/INST]
        {%- elif message.tool_calls %}[TOOL_CALLS][{% for call in message.tool_calls %}{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}, "id": "{{ call.id }}"}{% if not loop.last %}, {% endif %}{% endfor %}]{{ eos_token }}
        {%- elif message.role == 'tool' %}[TOOL_RESULTS]{"content": {{ message.content | tojson }}, "call_id": "{{ message.tool_call_id }}"}[/TOOL_RESULTS]
        {%- else %}{{ message.content }}{{ eos_token }}
        {%- endif %}
        {%- endfor %}
        """;

    // Qwen 3's, in which an answer begins with a thought.
    public const string Thinking = """
        {%- if tools %}<|im_start|>system
        <tools>{% for tool in tools %}
        {{ tool | tojson }}{% endfor %}
        </tools><|im_end|>
        {% endif %}
        {%- for message in messages %}<|im_start|>{{ message.role }}
        {% if message.reasoning_content %}<think>
        {{ message.reasoning_content }}
        </think>

        {% endif %}{{ message.content }}
        {%- for call in message.tool_calls or [] %}
        <tool_call>
        {"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
        </tool_call>
        {%- endfor %}<|im_end|>
        {% endfor %}
        {%- if add_generation_prompt %}<|im_start|>assistant
        {% if enable_thinking is defined and enable_thinking is false %}<think>

        </think>

        {% endif %}
        {%- endif %}
        """;
}
