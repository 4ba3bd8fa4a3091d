{% macro unrelated() %} 1 {% endmacro %}

{% macro ratio(n, d) -%}
    round({{ n }} / {{ d }}, 2)
{%- endmacro %}

{% macro rounded(x) -%} round({{ x }}, 2) {%- endmacro %}
